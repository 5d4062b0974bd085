"""Storms, silence, clock resets, all pixels, one hot pixel, nothing at all."""

import tracemalloc

import numpy as np
import pytest

from streamvdib.commands.table import closing_rows
from streamvdib.encoder import EncoderState
from streamvdib.endurance.workload import DT_US, SENSOR, packets, small_engine
from streamvdib.engine import Engine
from streamvdib.events import EventArray, EventPacket, as_events, empty_events
from streamvdib.sources.queue import EventQueue

HOUR_US = 3_600_000_000


def storm(start_us: int, n_events: int, seed: int) -> EventArray:
    """20 Mev/s: events as dense as that, in order."""
    numbers = np.random.default_rng(seed)
    times = start_us + np.arange(n_events) // 20
    return as_events(
        times,
        numbers.integers(0, SENSOR.width, n_events),
        numbers.integers(0, SENSOR.height, n_events),
        numbers.integers(0, 2, n_events),
    )


def live_engine() -> Engine:
    return small_engine(backend="torch", policy="count")


def test_a_storm_is_bounded_in_memory_and_its_drops_are_counted() -> None:
    """10 ms at 20 Mev/s come per reading, 50 times, and the reader takes 65,536 each time."""
    queue, engine = EventQueue(1 << 17), live_engine()
    batch = storm(0, 200_000, 0)
    peaks = []
    tracemalloc.start()
    try:
        for index in range(50):
            batch["t_us"] += 10_000
            queue.push(batch, arrived_us=index)
            popped = queue.pop(timeout_s=0.0)
            end_us = int(popped.events["t_us"][-1]) + 1
            engine.advance(EventPacket(popped.events, end_us))
            if index in (4, 49):
                peaks.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert queue.n_pushed == 50 * 200_000
    assert queue.n_pushed == queue.n_popped + queue.n_dropped + queue.n_held
    assert queue.n_dropped > 0
    assert engine.binners[0].counters.events == queue.n_popped
    assert peaks[1] < peaks[0] + 200_000


def continue_like(engine: Engine) -> Engine:
    """An engine that knows nothing but the numbers of steps of another one."""
    fresh = live_engine()
    fresh.step = engine.step
    fresh.binners[0].next_step = engine.binners[0].next_step
    state = fresh.backend.state()
    fresh.backend.restore(EncoderState(engine.backend.state().step, state.layers))
    return fresh


def test_after_storm_an_hour_of_silence_and_a_clock_reset_frames_are_right_at_once() -> None:
    engine = live_engine()
    engine.advance(EventPacket(storm(0, 200_000, 1), 10_000))
    engine.advance(EventPacket(empty_events(), HOUR_US))  # silence: longer than max_gap_us
    assert engine.binners[0].counters.restarts == 1
    assert engine.step < 100
    after = [
        EventPacket(shifted(packet.events, 777), packet.end_us + 777) for packet in packets(0, 8)
    ]
    expected = continue_like(engine)
    frames = [frame for packet in after for frame in engine.advance(packet)]
    assert engine.binners[0].counters.restarts == 2
    wanted = [frame for packet in after for frame in expected.advance(packet)]
    assert len(frames) == len(wanted) > 0
    for ours, theirs in zip(frames, wanted, strict=True):
        assert ours.end_us == theirs.end_us
        assert np.array_equal(ours.pixels, theirs.pixels)


def shifted(events: EventArray, by_us: int) -> EventArray:
    moved = events.copy()
    moved["t_us"] += by_us
    return moved


def test_a_silence_shorter_than_the_gap_ticks_through() -> None:
    engine = live_engine()
    engine.advance(EventPacket(storm(0, 2000, 1), 1000))
    frames = engine.advance(EventPacket(empty_events(), 2_000_000))
    assert engine.step == 2000
    assert [frame.step for frame in frames] == list(range(1, 2000))


def all_pixels(n_steps: int) -> EventPacket:
    n_pixels = SENSOR.width * SENSOR.height
    times = np.repeat(np.arange(n_steps) * DT_US, 2 * n_pixels)
    pixels = np.tile(np.arange(2 * n_pixels), n_steps)
    place = pixels % n_pixels
    events = as_events(times, place % SENSOR.width, place // SENSOR.width, pixels >= n_pixels)
    return EventPacket(events, n_steps * DT_US)


def hot_pixel(n_steps: int) -> EventPacket:
    events = empty_events(n_steps * DT_US)
    events["t_us"] = np.arange(n_steps * DT_US)
    events["x"], events["y"], events["on"] = 3, 4, True
    return EventPacket(events, n_steps * DT_US)


@pytest.mark.parametrize("make", [all_pixels, hot_pixel], ids=["all pixels", "one hot pixel"])
@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_extreme_scenes_give_defined_frames(make: object, backend: str) -> None:
    engine = small_engine(backend=backend)
    frames = engine.advance(make(50))  # type: ignore[operator]
    assert len(frames) == 50
    assert all(np.isfinite(frame.pixels).all() for frame in frames)
    assert engine.statistics.steps == 50


def test_no_events_ever_gives_no_steps_no_division_by_zero_and_ends() -> None:
    engine = live_engine()
    frames = [
        frame
        for index in range(100)
        for frame in engine.advance(EventPacket(empty_events(), index * 10_000))
    ]
    assert frames == []
    assert engine.step == 0
    rows = dict(closing_rows(engine, seconds=0.0, source_counters={}))
    assert rows["frames"] == "0"
    assert np.isfinite(engine.decode().pixels).all()
