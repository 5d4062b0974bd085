"""Learning on a copy: the live weights change only for what is better on held-out targets."""

from collections.abc import Callable

import numpy as np
import pytest

from streamvdib.endurance.wandering_learner import ConstantTargets
from streamvdib.endurance.workload import small_engine
from streamvdib.engine import Engine
from streamvdib.engine_state import state_digest
from streamvdib.errors import ConfigurationError
from streamvdib.learning.guard import Guard, make_guarded_learner
from streamvdib.learning.shadow import Shadow
from streamvdib.model import Model
from tests.faults.simple_learners import PICTURE, DecoderLearner, Stream, play, same, weights_of


def shadow_engine(make_inner: Callable[[Model], DecoderLearner]) -> tuple[Engine, Shadow]:
    engine = small_engine(backend="torch")
    shadow = Shadow(engine.model, make_inner, backend="torch", n_trials=5)
    engine.learner, engine.targets = shadow, Stream(lambda _: PICTURE)
    return engine, shadow


def test_a_shadow_swaps_in_only_what_is_better_on_held_out_data() -> None:
    engine, shadow = shadow_engine(DecoderLearner)
    before = weights_of(engine)
    play(engine, 6)
    assert same(before, weights_of(engine))
    play(engine, 40, first=6)
    assert shadow.counts["n_swaps"] >= 1
    assert not same(before, weights_of(engine))
    live, copied = shadow.last
    assert live < 0.09
    assert copied < 0.09


def test_a_shadow_that_gets_worse_never_reaches_the_live_weights() -> None:
    engine, shadow = shadow_engine(lambda model: DecoderLearner(model, rate=-0.5))
    before = weights_of(engine)
    play(engine, 40)
    assert shadow.counts["n_swaps"] == 0
    assert shadow.counts["n_resets"] >= 1
    assert same(before, weights_of(engine))


def test_a_shadow_resumes_bit_for_bit() -> None:
    whole, _ = shadow_engine(DecoderLearner)
    play(whole, 40)
    first, _ = shadow_engine(DecoderLearner)
    play(first, 17)
    second, _ = shadow_engine(DecoderLearner)
    second.restore(first.snapshot())
    play(second, 23, first=17)
    assert state_digest(second.snapshot()) == state_digest(whole.snapshot())


def told_engine(**options: object) -> tuple[Engine, Shadow]:
    """As the command line makes it: guarded e-prop on a copy."""
    engine = small_engine(backend="torch")
    about = {"learning_rate": 0.01, "update_every": 2, "guard": {}, "shadow": options}
    shadow = make_guarded_learner(engine, about)
    assert isinstance(shadow, Shadow)
    engine.learner, engine.targets = shadow, ConstantTargets()
    return engine, shadow


def test_plain_options_make_a_shadow_with_the_guard_on_its_copy() -> None:
    engine, shadow = told_engine(holdout_every=2, n_trials=3, margin=0.0)
    assert isinstance(shadow.learner, Guard)
    before = weights_of(engine)
    play(engine, 5)
    assert same(before, weights_of(engine))
    play(engine, 45, first=5)
    assert shadow.counts["n_swaps"] >= 1
    assert not same(before, weights_of(engine))
    assert shadow.metrics()["guard_accepted"] > 0


def test_the_copy_makes_the_live_spikes_while_it_has_the_live_weights() -> None:
    """The same draws too: one recording after a gap in the numbers of the steps is no other."""
    engine, shadow = told_engine()
    shadow.learning_rate = 0.0
    shadow.pause()
    play(engine, 3)
    shadow.resume()
    play(engine, 12, first=3)
    ours, theirs = shadow._window.ordered(), engine.window.ordered()
    assert theirs.any()
    np.testing.assert_array_equal(ours, theirs)


def test_nothing_is_learned_or_compared_before_the_copys_window_is_full_again() -> None:
    engine, shadow = told_engine()
    shadow.pause()
    play(engine, 5)
    shadow.resume()
    first_step = engine.step
    play(engine, 1, first=5)
    assert engine.step == first_step + shadow._window.tau_d == 21  # updates fell due at 18 and 20
    assert shadow.counts["n_targets"] == 0
    play(engine, 3, first=6)
    assert shadow.counts["n_targets"] > 1


@pytest.mark.parametrize("bad", [np.full_like(PICTURE, np.nan), PICTURE[:, :3], PICTURE[:0]])
def test_a_bad_target_that_is_held_out_is_refused_and_counted(bad: np.ndarray) -> None:
    engine, shadow = told_engine(holdout_every=2, n_trials=1)
    engine.targets = Stream(lambda n: bad if n % 2 == 0 else PICTURE)
    before = weights_of(engine)
    play(engine, 20)
    assert shadow.counts["n_refused"] > 0
    assert shadow.counts["n_compared"] == shadow.counts["n_swaps"] == 0
    assert same(before, weights_of(engine))


def test_what_was_set_while_it_ran_outlives_a_reset() -> None:
    _, shadow = told_engine()
    shadow.beta, shadow.learning_rate = 0.5, 0.25
    shadow._reset()
    assert (shadow.beta, shadow.learning_rate) == (0.5, 0.25)


@pytest.mark.parametrize("options", [{"holdout_every": 1}, {"n_trials": 0}, {"trials": 3}])
def test_options_of_a_shadow_that_cannot_be_meant_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="shadow"):
        told_engine(**options)
