"""Streams in step: nothing lost, nothing reordered, and one dead stream stops nobody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps, input_steps
from streamvdib.merging import StreamMerger


def steps(generator: np.random.Generator, n_steps: int) -> InputSteps:
    return input_steps(generator.integers(0, 2, (n_steps, 1, 4)))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 5)), max_size=20), st.integers(0, 99))
def test_lanes_are_the_streams_step_by_step(pushes: list[tuple[int, int]], seed: int) -> None:
    generator = np.random.default_rng(seed)
    merger = StreamMerger(3, capacity=1000)
    given_steps: list[list[np.ndarray]] = [[], [], []]
    merged: list[np.ndarray] = []
    for stream, n_steps in pushes:
        chunk = steps(generator, n_steps)
        given_steps[stream].append(chunk.dense()[:, 0])
        merged += [part.dense() for part in merger.push(stream, chunk)]
    totals = [sum(map(len, parts)) for parts in given_steps]
    n_done = sum(map(len, merged))
    assert n_done == min(totals)
    assert merger.next_step == n_done
    if n_done:
        lanes = np.concatenate(merged)
        for stream in range(3):
            np.testing.assert_array_equal(
                lanes[:, stream], np.concatenate(given_steps[stream])[:n_done]
            )


def test_a_stream_that_lags_too_far_gets_silence_and_its_late_steps_are_not_given_twice() -> None:
    generator = np.random.default_rng(0)
    merger = StreamMerger(2, capacity=4)
    ahead, behind = steps(generator, 6), steps(generator, 5)
    first = list(merger.push(0, ahead))
    assert first[0].n_steps == 2
    assert not first[0].dense()[:, 1].any()
    assert merger.filled == 2
    (second,) = merger.push(1, behind)
    np.testing.assert_array_equal(second.dense()[:, 0], ahead.dense()[2:5, 0])
    np.testing.assert_array_equal(second.dense()[:, 1], behind.dense()[2:5, 0])


def test_a_clock_that_jumps_in_one_stream_restarts_them_all() -> None:
    merger = StreamMerger(2)
    plain = input_steps(np.zeros((1, 1, 4)))
    jumped = InputSteps(plain.offsets, plain.indices, 1, 4, 0, 0, 1000, restarts=True)
    assert list(merger.push(0, jumped)) == []
    (merged,) = merger.push(1, plain)
    assert merged.restarts


def test_no_streams_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1; got 0 and 5"):
        StreamMerger(0, capacity=5)
