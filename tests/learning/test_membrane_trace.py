"""The trace dV/dW that a reset clears, against the dense trace of eq 10 and 16."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from streamvdib.errors import ConfigurationError
from streamvdib.learning.membrane_trace import ResetTrace, reset_horizon

Array = npt.NDArray[np.float64]


def dense_gradients(inputs: Array, spikes: Array, factors: Array, leak: float) -> list[Array]:
    """Oracle: the trace written out per lane, neuron and input; no code shared."""
    n_steps, n_lanes, n_inputs = inputs.shape
    n_outputs = spikes.shape[2]
    trace = np.zeros((n_lanes, n_outputs, n_inputs))
    gradients = []
    for step in range(n_steps):
        trace = (1.0 - leak) * trace + inputs[step][:, None, :]
        gradients.append(np.einsum("lo,loi->oi", factors[step], trace))
        trace[spikes[step] > 0] = 0.0
    return gradients


def run(
    inputs: Array, spikes: Array, factors: Array, leak: float, horizon: int, method: str
) -> list[Array]:
    trace = ResetTrace(
        inputs.shape[1], inputs.shape[2], spikes.shape[2], leak=leak, horizon=horizon
    )
    gradients = []
    for step in range(len(inputs)):
        trace.push(torch.from_numpy(inputs[step]).float())
        factor = torch.from_numpy(factors[step]).float()
        if method == "compiled":
            gradient = trace.gradient(factor)
        else:
            gradient = factor.t() @ trace._ring[:, trace._slot] - trace._before_reset(factor)
        gradients.append(gradient.double().numpy())
        trace.clear(torch.from_numpy(spikes[step]).float())
    return gradients


def random_case(n_steps: int, spike_rate: float) -> tuple[Array, Array, Array]:
    generator = np.random.default_rng(n_steps)
    inputs = (generator.random((n_steps, 3, 7)) < 0.4).astype(float)
    spikes = (generator.random((n_steps, 3, 5)) < spike_rate).astype(float)
    factors = generator.normal(size=(n_steps, 3, 5)) * (generator.random((n_steps, 3, 5)) < 0.6)
    return inputs, spikes, factors


@pytest.mark.parametrize("method", ["compiled", "by reset time"])
@pytest.mark.parametrize("leak", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("spike_rate", [0.0, 0.1, 0.6, 1.0])
def test_gradients_are_those_of_the_dense_trace(
    method: str, leak: float, spike_rate: float
) -> None:
    case = random_case(30, spike_rate)
    found = run(*case, leak, reset_horizon(leak, 30), method)
    for expected, gradient in zip(dense_gradients(*case, leak), found, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=2e-5)


def test_a_stream_far_longer_than_the_horizon_stays_within_the_tolerance() -> None:
    """The ring wraps round many times; resets beyond it are left out."""
    leak, tolerance = 0.3, 1e-6
    horizon = reset_horizon(leak, tolerance=tolerance)
    case = random_case(600, 0.02)
    assert horizon < 50
    found = run(*case, leak, horizon, "compiled")
    for expected, gradient in zip(dense_gradients(*case, leak), found, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=3e-5)


def test_the_trace_is_cleared_where_the_neuron_spiked_and_nowhere_else() -> None:
    """By hand, alpha = 1/2, one input active at steps 1, 2, 3; neuron 0 spikes at step 2."""
    trace = ResetTrace(1, 1, 2, leak=0.5, horizon=8)
    both = torch.ones(1, 2)
    seen = []
    for spikes in ([0.0, 0.0], [1.0, 0.0], [0.0, 0.0]):
        trace.push(torch.ones(1, 1))
        seen.append(trace.gradient(both)[:, 0].tolist())
        trace.clear(torch.tensor([spikes]))
    assert seen == [[1.0, 1.0], [1.5, 1.5], [1.0, 1.75]]
    assert trace.gradient(both)[:, 0].tolist() == [1.0, 1.75]


def test_after_begin_nothing_of_the_sequence_before_remains() -> None:
    case = random_case(12, 0.3)
    trace = ResetTrace(3, 7, 5, leak=0.1, horizon=12)

    def gradient_of_last_step() -> torch.Tensor:
        trace.begin()
        for inputs, spikes in zip(case[0], case[1], strict=True):
            trace.push(torch.from_numpy(inputs).float())
            last = trace.gradient(torch.ones(3, 5))
            trace.clear(torch.from_numpy(spikes).float())
        return last

    assert torch.equal(gradient_of_last_step(), gradient_of_last_step())


def test_memory_is_that_of_the_horizon_however_long_the_stream() -> None:
    trace = ResetTrace(2, 4, 3, leak=0.5, horizon=reset_horizon(0.5))
    sizes = {name: value.numel() for name, value in vars(trace).items() if torch.is_tensor(value)}
    for _ in range(500):
        trace.push(torch.ones(2, 4))
        trace.clear(torch.ones(2, 3))
    after = {name: value.numel() for name, value in vars(trace).items() if torch.is_tensor(value)}
    assert after == sizes


@pytest.mark.parametrize("ask", [lambda: reset_horizon(0.0), lambda: reset_horizon(0.0, None)])
def test_a_stream_through_neurons_without_leak_has_no_horizon(ask: Callable[[], int]) -> None:
    with pytest.raises(ConfigurationError, match="without leak"):
        ask()


def test_the_horizon_is_no_longer_than_the_sequence() -> None:
    assert reset_horizon(0.0, 60) == 60
    assert reset_horizon(0.1, 15) == 15
    assert 0.9 ** (reset_horizon(0.1) - 1) <= 1e-7
