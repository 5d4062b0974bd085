"""The guard on learning: bad targets and updates leave the weights untouched; poison freezes it."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from streamvdib.encoder import LayerWeights, Weights
from streamvdib.endurance.wandering_learner import ConstantTargets, WanderingLearner
from streamvdib.endurance.workload import small_engine
from streamvdib.engine import Engine
from streamvdib.engine_state import state_digest
from streamvdib.errors import CheckpointError, ConfigurationError, LearningError
from streamvdib.learning.build import make_learner
from streamvdib.learning.guard import Guard, guarded
from streamvdib.learning.online import OnlineLearner
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow
from tests.faults.simple_learners import (
    PICTURE,
    DecoderLearner,
    Stream,
    Target,
    play,
    same,
    weights_of,
)


def guarded_engine(make: Callable[[int], Target], **limits: float) -> tuple[Engine, Guard]:
    engine = small_engine(backend="numba")
    guard = guarded(DecoderLearner(engine.model), engine.model, **limits)
    engine.learner, engine.targets = guard, Stream(make)
    return engine, guard


BAD_TARGETS = {
    "nan": np.full_like(PICTURE, np.nan),
    "inf": np.full_like(PICTURE, np.inf),
    "huge": np.full_like(PICTURE, 1e30),
    "one pixel is nan": np.where(np.arange(25).reshape(1, 5, 5) == 7, np.nan, PICTURE),
    "too small": PICTURE[:, :4],
    "flat": PICTURE.reshape(1, 25),
    "too many lanes": np.concatenate([PICTURE, PICTURE]),
    "empty": PICTURE[:0],
    "text": np.full((1, 5, 5), "x"),
}


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_a_bad_target_is_refused_and_counted_and_the_weights_are_untouched(name: str) -> None:
    engine, guard = guarded_engine(lambda _: BAD_TARGETS[name])
    before = weights_of(engine)
    n_frames = play(engine, 10)
    assert n_frames == engine.step
    assert guard.counts["refused"] == engine.step
    assert guard.counts["accepted"] == 0
    assert same(before, weights_of(engine))
    assert guard.reason


def test_good_targets_are_learned_from() -> None:
    engine, guard = guarded_engine(lambda _: PICTURE)
    play(engine, 60)
    assert guard.counts["accepted"] == engine.step
    assert not guard.frozen
    assert guard.means["fast"] < 0.5 * 0.09


class BrokenLearner(DecoderLearner):
    """An update that goes wrong in one way, now and then."""

    def __init__(self, model: Model, how: str, every: int) -> None:
        super().__init__(model)
        self.how, self.every, self.n = how, every, 0

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        weights = super().learn(window, target, end_us)
        self.n += 1
        if self.n % self.every:
            return weights
        last = next(iter(self.model.decoder.parameters()))
        with torch.no_grad():
            if self.how == "nan":
                last[0] = float("nan")
            elif self.how == "large":
                last += 1e6
            elif self.how == "encoder":
                w = self.model.weights
                return (LayerWeights(w[0].synapses * float("inf"), w[0].feedback, w[0].bias), w[1])
        if self.how == "raises":
            raise LearningError("not finite")
        if self.how == "bug":
            raise ZeroDivisionError
        return weights

    def tensors(self) -> Mapping[str, Tensor]:
        return {"n": torch.tensor(float(self.n))}


@pytest.mark.parametrize("how", ["nan", "large", "encoder", "raises", "bug"])
def test_a_bad_update_is_undone_and_counted_and_decoding_goes_on(how: str) -> None:
    engine = small_engine(backend="torch")
    guard = guarded(BrokenLearner(engine.model, how, every=20), engine.model)
    engine.learner, engine.targets = guard, Stream(lambda _: PICTURE)
    n_frames = play(engine, 40)
    assert n_frames == engine.step
    assert guard.counts["undone"] == engine.step // 20
    assert not guard.frozen
    assert all(bool(tensor.isfinite().all()) for tensor in weights_of(engine).values())
    assert guard.means["fast"] < 0.09


@pytest.mark.parametrize("how", ["nan", "encoder", "raises", "bug"])
def test_bad_updates_in_a_row_freeze_learning_and_roll_back(how: str) -> None:
    engine = small_engine(backend="torch")
    before = weights_of(engine)
    guard = guarded(BrokenLearner(engine.model, how, every=1), engine.model, n_bad=3)
    engine.learner, engine.targets = guard, Stream(lambda _: PICTURE)
    n_frames = play(engine, 10)
    assert n_frames == engine.step
    assert guard.frozen
    assert guard.counts["undone"] == 3
    assert guard.metrics()["guard_frozen"] == 1.0
    assert same(before, weights_of(engine))


POISONED = 175  # the update from which targets are poison: 50 packets
TIGHT = {"margin": 0.02, "tolerance": 0.5, "memory_every": 5, "anchor_every": 20}
POISONS = {
    "inverted": lambda _: 1 - PICTURE,
    "noise": lambda n: np.random.default_rng(n).integers(0, 2, PICTURE.shape).astype(np.float32),
    "bright": lambda _: np.full_like(PICTURE, 50.0),
    "dark": lambda _: np.zeros_like(PICTURE),
}


@pytest.mark.parametrize("name", POISONS)
def test_a_poisoned_stream_of_targets_freezes_learning_and_rolls_back(name: str) -> None:
    poison = POISONS[name]
    engine, guard = guarded_engine(lambda n: PICTURE if n < POISONED else poison(n), **TIGHT)
    play(engine, 50)
    assert not guard.frozen
    n_frames = play(engine, 50, first=50)
    assert n_frames > 0
    assert guard.frozen, guard.means
    assert guard.counts["freezes"] == 1
    assert np.mean((engine.decode().pixels - PICTURE) ** 2) < 0.02
    frozen = weights_of(engine)
    play(engine, 5, first=100)
    assert same(frozen, weights_of(engine))


@pytest.mark.parametrize("name", ["noise", "bright"])
def test_the_default_limits_stop_at_gross_poison(name: str) -> None:
    engine, guard = guarded_engine(lambda n: PICTURE if n < POISONED else POISONS[name](n))
    play(engine, 100)
    assert guard.frozen, guard.means


def test_the_default_limits_let_another_picture_pass() -> None:
    engine, guard = guarded_engine(lambda n: PICTURE if n < POISONED else PICTURE[:, ::-1].copy())
    play(engine, 100)
    assert not guard.frozen


def test_learning_may_go_on_after_a_freeze() -> None:
    engine, guard = guarded_engine(lambda n: 1 - PICTURE if n >= POISONED else PICTURE, **TIGHT)
    play(engine, 80)
    assert guard.frozen
    engine.targets = Stream(lambda _: PICTURE)
    guard.unfreeze()
    play(engine, 40, first=80)
    assert not guard.frozen
    assert guard.means["fast"] < 0.05


@pytest.mark.parametrize("cut", [10, 51, 75])
def test_a_guard_resumes_bit_for_bit(cut: int) -> None:
    def make() -> tuple[Engine, Guard]:
        return guarded_engine(lambda n: PICTURE if n < POISONED else 1 - PICTURE, **TIGHT)

    whole, guard = make()
    play(whole, 80)
    assert guard.frozen
    first, _ = make()
    play(first, cut)
    second, second_guard = make()
    second.restore(first.snapshot())
    second.targets.n_asked = first.targets.n_asked  # type: ignore[union-attr]
    play(second, 80 - cut, first=cut)
    assert second_guard.counts == guard.counts
    assert state_digest(second.snapshot()) == state_digest(whole.snapshot())


def test_the_online_learner_is_guarded_and_resumes_bit_for_bit() -> None:
    def make() -> Engine:
        engine = small_engine(backend="torch")
        inner = make_learner(engine.model, update_every=2, learning_rate=0.01)
        assert isinstance(inner, OnlineLearner)
        engine.learner, engine.targets = guarded(inner, engine.model), ConstantTargets()
        return engine

    whole, first, second = make(), make(), make()
    play(whole, 30)
    assert whole.statistics.updates > 10
    play(first, 13)
    second.restore(first.snapshot())
    play(second, 17, first=13)
    assert state_digest(second.snapshot()) == state_digest(whole.snapshot())


def test_limits_that_cannot_be_meant_are_refused() -> None:
    engine = small_engine(backend="torch")
    for limits in ({"n_bad": 0}, {"tolerance": -1.0}, {"largest_stepp": 3.0}, {"margin": 0.0}):
        with pytest.raises(ConfigurationError):
            guarded(WanderingLearner(engine.model), engine.model, **limits)


def test_a_state_with_parts_missing_is_refused() -> None:
    engine, guard = guarded_engine(lambda _: PICTURE)
    play(engine, 10)
    for name in ("counts", "means", "memory.n_seen"):
        partial = {key: value for key, value in guard.tensors().items() if key != name}
        with pytest.raises(CheckpointError):
            guard.load_tensors(partial)
