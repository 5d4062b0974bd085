"""Input steps: lists and zeros-and-ones say the same."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamvdib.input_steps import input_steps

dense = arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 9)))


@given(dense.map(lambda spikes: spikes % 2))
def test_lists_and_dense_arrays_are_each_others_inverse(spikes: np.ndarray) -> None:
    np.testing.assert_array_equal(input_steps(spikes).dense(), spikes)


@given(dense.map(lambda spikes: spikes % 2), st.data())
def test_parts_are_slices_with_their_own_time(spikes: np.ndarray, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(spikes)))
    end = data.draw(st.integers(start, len(spikes)))
    part = input_steps(spikes, first_step=5, start_us=100, dt_us=10).part(start, end)
    np.testing.assert_array_equal(part.dense(), spikes[start:end])
    assert part.first_step == 5 + start
    assert (part.start_us, part.end_us) == (100 + 10 * start, 100 + 10 * end)
