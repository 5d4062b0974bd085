"""run = run half + save + load + run the rest, on both kinds of loops."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.checkpoints import Position, decode, encode, skip_to
from streamvdib.endurance.wandering_learner import ConstantTargets, WanderingLearner
from streamvdib.endurance.workload import SENSOR, packets, small_engine, small_model
from streamvdib.engine import Engine, Frame
from streamvdib.engine_state import state_digest
from streamvdib.errors import CheckpointError
from streamvdib.events import EventPacket, SensorSize
from streamvdib.geometry import fit_geometry
from streamvdib.learning.guard import make_guarded_learner

N_PACKETS = 14
# torch-compile takes minutes to compile and cuda-graph wants a GPU; both keep torch's state, which
# the contract of backends tests.
STEPPING = ("numba", "torch")
LEARNERS: dict[str, dict[str, Any]] = {
    "pathwise": {"learning_rate": 0.01, "update_every": 3},
    "score": {"learning_rate": 0.01, "update_every": 3, "estimator": "score"},
    "pathwise, guarded": {"learning_rate": 0.01, "update_every": 3, "guard": {}},
    "pathwise, guarded, on a copy": {
        "learning_rate": 0.01,
        "update_every": 3,
        "guard": {},
        "shadow": {"holdout_every": 2, "n_trials": 2, "margin": 0.0},
    },
}


def make(backend: str, learning: bool | str, n_streams: int = 1) -> Engine:
    """``learning`` may be options of ``make_guarded_learner`` by name."""
    torch.set_num_threads(1)
    engine = small_engine(backend=backend, n_streams=n_streams)
    if isinstance(learning, str):
        engine.learner = make_guarded_learner(engine, LEARNERS[learning])
    elif learning:
        engine.learner = WanderingLearner(engine.model)
    if learning:
        engine.targets = ConstantTargets((n_streams, 5, 5))
    return engine


def play(engine: Engine, given_packets: list[EventPacket], first: int = 0) -> list[Frame]:
    return [
        frame
        for index, packet in enumerate(given_packets, first)
        for frame in engine.advance(packet, index % engine.n_streams)
    ]


def same(ours: list[Frame], theirs: list[Frame]) -> bool:
    return len(ours) == len(theirs) and all(
        (one.step, one.start_us, one.end_us) == (two.step, two.start_us, two.end_us)
        and np.array_equal(one.pixels, two.pixels)
        for one, two in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("learning", [False, True, *LEARNERS])
@pytest.mark.parametrize("backend", STEPPING)
@settings(max_examples=12)
@given(cut=st.integers(0, N_PACKETS), seed=st.integers(0, 1000))
def test_a_run_cut_anywhere_and_resumed_equals_the_run_in_one(
    backend: str, learning: bool | str, cut: int, seed: int
) -> None:
    recording = packets(seed, N_PACKETS)
    whole = make(backend, learning)
    expected = play(whole, recording)

    first, second = make(backend, learning), make(backend, learning)
    frames = play(first, recording[:cut])
    second.restore(decode(encode(first.snapshot(), 1), "memory").state)
    frames += play(second, recording[cut:])

    assert same(frames, expected)
    assert state_digest(second.snapshot()) == state_digest(whole.snapshot())


@pytest.mark.parametrize("backend", STEPPING)
def test_streams_that_wait_for_each_other_resume_too(backend: str) -> None:
    recording = packets(3, 12)
    order = [0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1]

    def drive(engine: Engine, start: int, end: int) -> list[Frame]:
        return [f for i in range(start, end) for f in engine.advance(recording[i], order[i])]

    whole = make(backend, True, n_streams=2)
    expected = drive(whole, 0, 12)
    for cut in (2, 3, 6, 9):
        first, second = make(backend, True, n_streams=2), make(backend, True, n_streams=2)
        frames = drive(first, 0, cut)
        second.restore(first.snapshot())
        assert same(frames + drive(second, cut, 12), expected)


def test_a_snapshot_does_not_change_when_the_engine_goes_on() -> None:
    engine = make("torch", True)
    play(engine, packets(0, 5))
    snapshot = engine.snapshot()
    before = state_digest(snapshot)
    play(engine, packets(0, 5, first=5))
    assert state_digest(snapshot) == before
    assert state_digest(engine.snapshot()) != before


def test_one_state_may_be_restored_many_times() -> None:
    source = make("torch", True)
    play(source, packets(0, 5))
    snapshot = source.snapshot()
    outcomes = []
    for _ in range(2):
        engine = make("torch", True)
        engine.restore(snapshot)
        play(engine, packets(0, 5, first=5))
        outcomes.append(state_digest(engine.snapshot()))
    assert outcomes[0] == outcomes[1]


def wrong_engines() -> dict[str, Engine]:
    model = small_model()
    geometry = fit_geometry(SENSOR, model.encoder.input_shape)
    larger = fit_geometry(SensorSize(9, 9), model.encoder.input_shape, crop="8x8")
    return {
        "seed": Engine(model, geometry, seed=1, backend="torch"),
        "policy": Engine(model, geometry, policy="count", backend="torch"),
        "max_gap_us": Engine(model, geometry, max_gap_us=5000, backend="torch"),
        "geometry": Engine(model, larger, backend="torch"),
        "n_streams": Engine(model, geometry, n_streams=2, backend="torch"),
        "learner": make("torch", True),
    }


@pytest.mark.parametrize(
    "name", ["seed", "policy", "max_gap_us", "geometry", "n_streams", "learner"]
)
def test_a_state_of_another_configuration_is_refused_by_name(name: str) -> None:
    snapshot = make("torch", False).snapshot()
    engine = wrong_engines()[name]
    play(engine, packets(2, 4))
    before = state_digest(engine.snapshot())
    with pytest.raises(CheckpointError, match=name):
        engine.restore(snapshot)
    assert state_digest(engine.snapshot()) == before


def test_every_missing_tensor_is_refused_and_the_engine_stays_as_it_was() -> None:
    source = make("torch", True)
    play(source, packets(0, 6))
    state = source.snapshot()
    engine = make("torch", True)
    play(engine, packets(1, 4))
    before = state_digest(engine.snapshot())
    for name in state.tensors:
        partial = {key: value for key, value in state.tensors.items() if key != name}
        with pytest.raises(CheckpointError):
            engine.restore(type(state)(partial, state.about))
        assert state_digest(engine.snapshot()) == before, name
    for name in state.about:
        partial = {key: value for key, value in state.about.items() if key != name}
        with pytest.raises(CheckpointError):
            engine.restore(type(state)(state.tensors, partial))
        assert state_digest(engine.snapshot()) == before, name


@given(
    cut=st.integers(0, 6),
    cuts=st.lists(st.integers(1, 200), max_size=8),
    silent=st.booleans(),
)
@settings(max_examples=50)
def test_skipping_gives_what_is_left_however_the_recording_is_cut(
    cut: int, cuts: list[int], silent: bool
) -> None:
    recording = packets(0, 6)
    position = Position()
    for packet in recording[:cut]:
        position = position.after(packet)
    events = np.concatenate([packet.events for packet in recording])
    recut = [
        EventPacket(part, int(part["t_us"][-1]) + 1)
        for part in np.split(events, sorted(set(cuts)))
        if len(part)
    ]
    if silent:
        recut.append(EventPacket(events[:0], recording[-1].end_us))
    left = list(skip_to(recut, position))
    kept = np.concatenate([packet.events for packet in left]) if left else events[:0]
    assert np.array_equal(kept, events[position.n_events :])


def test_skipping_in_another_recording_is_refused() -> None:
    position = Position().after(packets(0, 1)[0])
    with pytest.raises(CheckpointError, match="recording that the checkpoint was made from"):
        list(skip_to(packets(1, 3), position))
    with pytest.raises(CheckpointError, match="missing"):
        list(skip_to([], position))
