"""The bounded queue between reader and consumer."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.events import TimedImage, as_events
from streamvdib.sources.queue import MAX_IMAGES, EventQueue


def numbered(first: int, n_events: int) -> Any:
    t_us = np.arange(first, first + n_events)
    return as_events(t_us, t_us % 100, t_us % 90, t_us % 2 == 0)


@given(
    capacity=st.integers(1, 50),
    actions=st.lists(st.tuples(st.booleans(), st.integers(0, 70)), max_size=40),
)
def test_pushed_is_popped_plus_dropped_plus_held(
    capacity: int, actions: list[tuple[bool, int]]
) -> None:
    """And what is popped is the newest part of what was pushed, in order."""
    queue, model, dropped = EventQueue(capacity), [], 0
    for is_push, n_events in actions:
        if is_push:
            events = numbered(queue.n_pushed, n_events)
            queue.push(events, arrived_us=0)
            model += events["t_us"].tolist()
            excess = max(0, len(model) - capacity)
            model, dropped = model[excess:], dropped + excess
        else:
            popped = queue.pop(timeout_s=0, max_events=max(1, n_events))
            assert popped.events["t_us"].tolist() == model[: len(popped.events)]
            model = model[len(popped.events) :]
        assert queue.n_dropped == dropped
        assert queue.n_held == len(model)
        assert queue.n_pushed == queue.n_popped + queue.n_dropped + queue.n_held


def test_a_full_queue_drops_the_oldest() -> None:
    queue = EventQueue(3)
    queue.push(numbered(0, 5), arrived_us=0)
    assert queue.pop(timeout_s=0).events["t_us"].tolist() == [2, 3, 4]
    assert queue.n_dropped == 2


def test_a_blocking_queue_holds_the_writer_up_and_loses_nothing() -> None:
    queue = EventQueue(8, blocking=True)

    def write() -> None:
        for first in range(0, 1000, 10):
            queue.push(numbered(first, 10), arrived_us=0)
        queue.close()

    thread = threading.Thread(target=write)
    thread.start()
    found: list[int] = []
    while True:
        popped = queue.pop(timeout_s=5.0)
        found += popped.events["t_us"].tolist()
        if popped.ended:
            break
    thread.join()
    assert found == list(range(1000))
    assert queue.n_dropped == 0


def test_closing_frees_a_writer_that_is_held_up() -> None:
    queue = EventQueue(2, blocking=True)
    thread = threading.Thread(target=lambda: queue.push(numbered(0, 50), arrived_us=0))
    thread.start()
    queue.close()
    thread.join(10)
    assert not thread.is_alive()


def test_a_promise_of_silence_is_told_only_when_nothing_is_left() -> None:
    queue = EventQueue(100)
    queue.push(numbered(0, 10), arrived_us=0, horizon_us=50)
    assert queue.pop(timeout_s=0, max_events=5).horizon_us is None
    assert queue.pop(timeout_s=0, max_events=5).horizon_us == 50


def test_images_beyond_the_few_that_fit_are_counted() -> None:
    queue = EventQueue(10)
    pixels = np.zeros((2, 2), np.uint8)
    images = tuple(TimedImage(t_us, pixels) for t_us in range(MAX_IMAGES + 3))
    queue.push(numbered(0, 0), arrived_us=0, images=images)
    assert queue.pop(timeout_s=0).images[0].t_us == 3
    assert queue.n_dropped_images == 3


def test_a_queue_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        EventQueue(0)
