"""What every neuron model must hold: a step is a function, of constant memory, lanes apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from streamvdib.neurons.lif_hard_reset import LIFHardReset
from streamvdib.neurons.neuron import Neuron, NeuronParameters
from streamvdib.neurons.srm import SRM
from streamvdib.responses import cascaded_exponentials, exponential, finite, raised_cosines

CPU = torch.device("cpu")
N_LANES, N_NEURONS = 3, 5
NEURONS: dict[str, Neuron] = {
    "srm": SRM(exponential(0.9, 20), exponential(0.8, 11)),
    "srm, stochastic": SRM(
        cascaded_exponentials(0.9, 0.5, 12), exponential(0.8, 7), stochastic=True
    ),
    "srm, K basis functions": SRM(raised_cosines(4, 10), raised_cosines(1, 7), stochastic=True),
    "srm, memory of one step": SRM(exponential(0.5, 1), finite([[1.0]])),
    "hard reset": LIFHardReset(leak=0.1),
    "hard reset, no leak": LIFHardReset(leak=0.0, threshold=0.5, derivative_slope=4.0),
}


@pytest.fixture(params=sorted(NEURONS))
def neuron(request: pytest.FixtureRequest) -> Neuron:
    return NEURONS[request.param]


@pytest.fixture(params=[torch.float32, torch.float64])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    chosen: torch.dtype = request.param
    return chosen


def currents_and_draws(
    neuron: Neuron, n_steps: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """(n_steps, n_lanes, n_basis, n_neurons) and (n_steps, n_lanes, n_neurons)."""
    generator = torch.Generator().manual_seed(2)
    shape = (n_steps, N_LANES, neuron.response.n_basis, N_NEURONS)
    currents = torch.randn(shape, generator=generator, dtype=dtype) * 0.7 + 0.2
    return currents, torch.rand(
        (n_steps, N_LANES, N_NEURONS), generator=generator, dtype=torch.float64
    )


def parameters(dtype: torch.dtype = torch.float64) -> NeuronParameters:
    generator = torch.Generator().manual_seed(6)
    bias = torch.randn(N_NEURONS, generator=generator, dtype=dtype) * 0.1
    return NeuronParameters(bias, torch.full((N_NEURONS,), -0.5, dtype=dtype))


def states(neuron: Neuron, currents: Tensor, draws: Tensor, state: Any = None) -> Iterator[Any]:
    if state is None:
        state = neuron.initial_state(currents.shape[1], N_NEURONS, dtype=currents.dtype, device=CPU)
    for current, draw in zip(currents, draws, strict=True):
        state = neuron.step(
            current, parameters(currents.dtype), state, draw if neuron.stochastic else None
        )
        yield state


def tensors_of(state: Any) -> dict[str, Tensor]:
    """The tensors of a state, also of states within it."""
    found = {}
    for one in fields(state):
        value = getattr(state, one.name)
        if isinstance(value, Tensor):
            found[one.name] = value
        elif is_dataclass(value):
            found |= {f"{one.name}.{name}": t for name, t in tensors_of(value).items()}
    return found


def assert_same(one: Any, other: Any) -> None:
    theirs = tensors_of(other)
    for name, tensor in tensors_of(one).items():
        assert torch.equal(tensor, theirs[name]), name


def test_spikes_are_zeros_and_ones_and_all_is_of_the_type_asked_for(
    neuron: Neuron, dtype: torch.dtype
) -> None:
    counted = 0.0
    for state in states(neuron, *currents_and_draws(neuron, 60, dtype)):
        for tensor in (state.spikes, state.membrane_potential):
            assert (tensor.shape, tensor.dtype) == ((N_LANES, N_NEURONS), dtype)
        assert bool(((state.spikes == 0) | (state.spikes == 1)).all())
        counted += float(state.spikes.mean()) / 60
    assert 0.02 < counted < 0.98, "a case in which neurons spike and are silent"


def test_a_neuron_without_draws_spikes_where_its_potential_has_reached_the_threshold(
    neuron: Neuron,
) -> None:
    for state in states(neuron, *currents_and_draws(neuron, 60)):
        if not neuron.stochastic:
            assert torch.equal(state.spikes, (state.membrane_potential >= 0).double())


def test_a_step_leaves_the_state_before_unchanged(neuron: Neuron) -> None:
    made = list(states(neuron, *currents_and_draws(neuron, 30)))
    kept = [{name: t.clone() for name, t in tensors_of(one).items()} for one in made]
    again = list(states(neuron, *(part[20:] for part in currents_and_draws(neuron, 30)), made[19]))
    assert_same(again[-1], made[-1])
    for one, before in zip(made, kept, strict=True):
        for name, tensor in tensors_of(one).items():
            assert torch.equal(tensor, before[name]), name


def test_lanes_do_not_touch_each_other(neuron: Neuron) -> None:
    """Law: of three lanes together the last states are those of each alone."""
    currents, draws = currents_and_draws(neuron, 40)
    *_, together = states(neuron, currents, draws)
    for lane in range(N_LANES):
        *_, alone = states(neuron, currents[:, lane : lane + 1], draws[:, lane : lane + 1])
        assert torch.equal(alone.spikes[0], together.spikes[lane])
        torch.testing.assert_close(
            alone.membrane_potential[0], together.membrane_potential[lane], rtol=0, atol=1e-12
        )


def test_a_state_is_as_large_after_500_steps_as_at_the_start(neuron: Neuron) -> None:
    start = neuron.initial_state(N_LANES, N_NEURONS, dtype=torch.float64, device=CPU)
    *_, end = states(neuron, *currents_and_draws(neuron, 500))
    assert {name: t.shape for name, t in tensors_of(end).items()} == {
        name: t.shape for name, t in tensors_of(start).items()
    }


def test_the_spike_derivative_is_a_bump_of_the_same_shape(neuron: Neuron) -> None:
    """Law: never negative, largest at the threshold, less far away on both sides."""
    potential = torch.linspace(-8, 8, 33, dtype=torch.float64)[None]
    bump = neuron.spike_derivative(potential)
    assert bump.shape == potential.shape
    assert bool((bump >= 0).all())
    assert int(bump.argmax()) == 16
    assert float(max(bump[0, 0], bump[0, -1])) < 0.1 * float(bump[0, 16])
