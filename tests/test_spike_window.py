"""The spike window: a ring that is always the last tau_d steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.spike_window import SpikeWindow


@given(st.integers(1, 9), st.lists(st.integers(1, 12), max_size=8), st.integers(0, 2**31))
def test_the_window_is_the_tail_of_everything_pushed(
    tau_d: int, chunks: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    window = SpikeWindow(tau_d, n_lanes=2, n_neurons=3)
    history = np.zeros((tau_d, 2, 3), dtype=np.uint8)
    for n_steps in chunks:
        spikes = generator.integers(0, 2, (n_steps, 2, 3), dtype=np.uint8)
        window.push(spikes)
        history = np.concatenate((history, spikes))
    np.testing.assert_array_equal(window.ordered(), history[-tau_d:].transpose(1, 0, 2))


def test_a_cleared_window_is_silent() -> None:
    window = SpikeWindow(3, 1, 2)
    window.push(np.ones((5, 1, 2), dtype=np.uint8))
    window.clear()
    assert not window.ordered().any()


def test_spikes_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"shape \(n_steps, 1, 2\); got \(1, 1, 3\)"):
        SpikeWindow(3, 1, 2).push(np.ones((1, 1, 3), dtype=np.uint8))


def test_a_window_of_no_steps_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1; got 0, 1, 2"):
        SpikeWindow(0, 1, 2)
