"""The engine: streaming equals batch, causality, bounded memory, whatever the packets."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import Weights, lane_keys
from streamvdib.engine import Engine, Frame, Target
from streamvdib.errors import ConfigurationError, GeometryError
from streamvdib.events import EventArray, EventPacket, SensorSize, as_events
from streamvdib.geometry import Box, Geometry
from streamvdib.input_steps import input_steps
from streamvdib.spike_window import SpikeWindow
from tests.models import small_model

GEOMETRY = Geometry(SensorSize(4, 3), Box(0, 0, 4, 3))


def events_of(seed: int, n_events: int = 300, duration_us: int = 40_000) -> EventArray:
    generator = np.random.default_rng(seed)
    times = np.sort(generator.integers(0, duration_us, n_events))
    x, y = generator.integers(0, 4, n_events), generator.integers(0, 3, n_events)
    return as_events(times, x, y, generator.random(n_events) < 0.5)


def cut(events: EventArray, cuts: list[int], end_us: int) -> Iterator[EventPacket]:
    start = -1
    for stop in [*sorted(set(cuts)), end_us]:
        yield EventPacket(events[(events["t_us"] >= start) & (events["t_us"] < stop)], stop)
        start = stop


def frames_of(engine: Engine, packets: Iterator[EventPacket]) -> list[Frame]:
    return [frame for packet in packets for frame in engine.advance(packet)]


def assert_same(first: list[Frame], second: list[Frame]) -> None:
    assert [(f.step, f.end_us) for f in first] == [(f.step, f.end_us) for f in second]
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.pixels, two.pixels)


@settings(max_examples=25)
@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 39_999), max_size=8),
    st.sampled_from(["torch", "auto"]),
)
def test_frames_are_bit_identical_however_events_are_cut_into_packets(
    seed: int, cuts: list[int], backend: str
) -> None:
    events = events_of(seed)
    engines = [Engine(small_model(), GEOMETRY, seed=seed, backend=backend) for _ in range(2)]
    whole = frames_of(engines[0], cut(events, [], 40_000))
    parts = frames_of(engines[1], cut(events, cuts, 40_000))
    assert len(whole) >= 35
    assert_same(whole, parts)


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(2_000, 39_000))
def test_no_frame_changes_when_later_events_do(seed: int, change_us: int) -> None:
    events, others = events_of(seed), events_of(seed + 1)
    mixed = np.concatenate(
        (events[events["t_us"] < change_us], others[others["t_us"] >= change_us])
    )
    frames, changed = (
        frames_of(Engine(small_model(), GEOMETRY, seed=seed), cut(stream, [], 40_000))
        for stream in (events, mixed)
    )
    earlier = [frame for frame in frames if frame.end_us <= change_us]
    assert_same(earlier, changed[: len(earlier)])


def test_streaming_gives_the_frames_of_the_encoder_stepped_by_hand() -> None:
    """Oracle: Encoder.step and the decoder on explicit windows, without binner, ring or engine."""
    model, events = small_model(), events_of(3)
    frames = frames_of(Engine(model, GEOMETRY, seed=7, backend="torch"), cut(events, [], 40_000))
    first_us = int(events["t_us"][0]) // 1000 * 1000
    dense = torch.zeros(40, 24)
    for event in events:
        index = int(event["on"]) * 12 + int(event["y"]) * 4 + int(event["x"])
        dense[(int(event["t_us"]) - first_us) // 1000, index] = 1
    state, readout = model.encoder.initial_state(), [torch.zeros(7)] * model.tau_d
    for step, frame in enumerate(frames):
        state = model.encoder.step(model.weights, dense[step][None], state, lane_keys(7, 1))
        readout.append(state.layers[-1].spikes[0])
        with torch.inference_mode():
            expected = torch.sigmoid(model.decoder(torch.stack(readout[-model.tau_d :])[None]))
        np.testing.assert_allclose(frame.pixels, expected.numpy(), rtol=1e-6)


def test_frames_come_every_so_many_steps_and_on_demand_at_any_moment() -> None:
    every = Engine(small_model(), GEOMETRY, decode_every=1)
    fifth = Engine(small_model(), GEOMETRY, decode_every=5)
    never = Engine(small_model(), GEOMETRY, decode_every=0)
    packet = EventPacket(events_of(1), 40_000)
    frames = every.advance(packet)
    assert_same(frames[4::5], fifth.advance(packet))
    assert never.advance(packet) == []
    assert_same([frames[-1]], [never.decode()])


def test_a_frame_says_which_stretch_of_sensor_time_it_has_seen() -> None:
    engine = Engine(small_model(), GEOMETRY)
    frame = engine.advance(EventPacket(as_events([5_200], [0], [0], [True]), 8_000))[-1]
    assert (frame.step, frame.start_us, frame.end_us) == (2, 2_000, 8_000)


def test_a_restart_forgets_the_past_and_goes_on_counting() -> None:
    """After a jump of the clock, frames are those of a new engine at that step number."""
    engine = Engine(small_model(), GEOMETRY, policy="count", max_gap_us=100_000)
    engine.advance(EventPacket(events_of(0), 40_000))
    silence = engine.step
    later = events_of(1)
    later["t_us"] += 10_000_000
    frames = engine.advance(EventPacket(later, 10_040_000))
    assert frames[0].step == silence
    assert engine.binners[0].counters.restarts == 1
    assert frames[0].end_us == int(later["t_us"][0]) // 1000 * 1000 + 1000


def test_streams_are_lanes_that_do_not_feel_each_other() -> None:
    pair = Engine(small_model(), GEOMETRY, n_streams=2, seed=4)
    single = Engine(small_model(), GEOMETRY, seed=4)
    packets = [EventPacket(events_of(k), 40_000) for k in (0, 1)]
    alone = single.advance(packets[0])
    assert pair.advance(packets[0], stream=0) == []
    together = pair.advance(packets[1], stream=1)
    for one, two in zip(alone, together, strict=False):
        np.testing.assert_allclose(one.pixels[0], two.pixels[0], rtol=1e-5, atol=1e-6)
    assert together[0].pixels.shape == (2, 5, 4)


def test_tiles_are_put_together_into_one_frame() -> None:
    geometry = Geometry(SensorSize(8, 6), Box(0, 0, 8, 6), tile=(3, 4))
    engine = Engine(small_model(decoder=DECODER_OF_TILES), geometry)
    frame = engine.advance(EventPacket(as_events([0], [7], [5], [True]), 1_000))[0]
    assert frame.pixels.shape == (1, 6, 8)


DECODER_OF_TILES = {"kind": "mlp", "tau_d": 6, "output_shape": [3, 4], "n_hidden": 8}


class IdleLearner:
    """Watches and learns nothing."""

    def __init__(self, weights: Weights | None) -> None:
        self.update_every, self.paused = 3, False
        self.weights, self.n_watched, self.n_asked = weights, 0, 0

    def watch(self, trace: EncoderTrace) -> None:
        self.n_watched += trace.inputs.n_steps

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        self.n_asked += 1
        return self.weights

    def restart(self) -> None:
        self.n_watched = 0


def test_a_learner_that_changes_nothing_leaves_every_frame_as_it_was() -> None:
    packet = EventPacket(events_of(2), 40_000)
    plain = Engine(small_model(), GEOMETRY).advance(packet)
    for weights in (None, small_model().weights):
        learner = IdleLearner(weights)
        engine = Engine(small_model(), GEOMETRY, learner=learner)
        assert_same(plain, engine.advance(packet))
        assert learner.n_watched == engine.step
        assert learner.n_asked == engine.step // 3


def test_after_warm_up_ten_times_the_stream_adds_not_one_array() -> None:
    engine = Engine(small_model(), GEOMETRY, policy="count", decode_every=10)
    step_us = 40_000

    def feed(first: int, n: int) -> int:
        for k in range(first, first + n):
            events = events_of(k % 7)
            events["t_us"] += k * step_us
            engine.advance(EventPacket(events, (k + 1) * step_us))
        return first + n

    done = feed(0, 10)
    tracemalloc.start()
    try:
        done = feed(done, 300)  # numba frees its view of an array where the tracer cannot see
        before = tracemalloc.take_snapshot()
        feed(done, 1000)
        after = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    growth = sum(row.size_diff for row in after.compare_to(before, "filename"))
    assert growth < 20_000  # the tracer's own bookkeeping; one window more would be seen in `step`
    assert engine.window.ring.nbytes == 6 * 7


@pytest.mark.parametrize("decode_every", [-1])
def test_a_period_below_zero_is_refused(decode_every: int) -> None:
    with pytest.raises(ConfigurationError, match="0 or more steps; got -1"):
        Engine(small_model(), GEOMETRY, decode_every=decode_every)


def test_a_geometry_of_another_model_is_refused() -> None:
    other = Geometry(SensorSize(5, 3), Box(0, 0, 5, 3))
    with pytest.raises(GeometryError, match=r"must give \(2, 3, 4\); it gives \(2, 3, 5\)"):
        Engine(small_model(), other)


def test_input_steps_can_come_ready_made() -> None:
    engine = Engine(small_model(input_shape=[24]), None)
    frames = list(engine.run(input_steps(np.ones((4, 1, 24)))))
    assert [frame.step for frame in frames] == [0, 1, 2, 3]


def test_a_restart_keeps_the_precision_of_the_backend() -> None:
    engine = Engine(small_model(), GEOMETRY, backend="torch", dtype=torch.float64)
    engine.restart()
    frames = engine.advance(EventPacket(events_of(0), 40_000))
    fresh = Engine(small_model(), GEOMETRY, backend="torch", dtype=torch.float64)
    assert_same(frames, fresh.advance(EventPacket(events_of(0), 40_000)))


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_a_warm_up_changes_no_frame(backend: str) -> None:
    cold = Engine(small_model(), GEOMETRY, backend=backend)
    warm = Engine(small_model(), GEOMETRY, backend=backend)
    packets = [EventPacket(events_of(0), 20_000), EventPacket(events_of(0)[:0], 40_000)]
    warm.warm_up()
    for packet in packets:
        first = cold.advance(packet)
        assert_same(first, warm.advance(packet))
        warm.warm_up()
    assert warm.statistics.frames == cold.statistics.frames
