"""Keeps learning from doing harm: checks every update, undoes bad ones, freezes when they go on.

    step      |change of all weights| must be finite and at most ``largest_step`` times its mean
    live      the error of the frame before the update that learns from it (test, then train)
    memory    the error on a few windows and targets kept from earlier: the slow reference
    verdict   bad if not finite or too large; N bad in a row, or a fast mean of an error above
              ``1 + tolerance`` times the best slow mean: freeze, and go back to the best weights

It wraps any ``Learner``. Decoding goes on whatever happens here.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import Weights
from streamvdib.engine import Engine, Learner
from streamvdib.errors import CheckpointError, ConfigurationError, StreamVdibError, TargetError
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.guard_limits import Limits
from streamvdib.learning.guard_memory import Memory
from streamvdib.learning.undo import (
    below,
    everything,
    make_undo,
    named_weights,
    put_back,
    weights_like,
)
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

_LOG = logging.getLogger(__name__)
Target = npt.NDArray[np.float32]
_FORGETTING = 1e-4  # how fast the best error gives way to what the scene has become
_COUNTS = ("accepted", "undone", "refused", "in_a_row", "freezes")
_MEANS = ("fast", "slow", "memory_fast", "memory_slow", "best", "memory_best", "step")


class Guard:
    """A ``Learner`` around another one.

    Memory: a copy of the weights and of the learner's state, another (``undo.Copies``) unless the
    learner holds its updates back, and ``n_memory`` windows.

    Args:
        learner: what learns.
        model: its model, whose decoder changes in place.
        limits: what is allowed.
    """

    def __init__(self, learner: Learner, model: Model, limits: Limits | None = None) -> None:
        self.learner, self.model, self.limits = learner, model, limits or Limits()
        self.frozen = False
        self.reason = ""  # why it froze, or what was last undone
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.means = dict.fromkeys(_MEANS, math.nan)
        self.memory = Memory(model, self.limits.n_memory)
        self._tuned: Any = learner  # what its makers let be changed while it runs
        self._weights = model.weights
        self._undo = make_undo(learner, model)
        self._anchor = self._copy()

    @property
    def update_every(self) -> int:
        """Steps between updates."""
        return self.learner.update_every

    @property
    def paused(self) -> bool:
        """Whether it only looks on."""
        return self.frozen or self.learner.paused

    def watch(self, trace: EncoderTrace) -> None:
        """See ``Learner``."""
        self.learner.watch(trace)

    def attach(self, engine: Engine) -> None:
        """Be the learner of an engine; its frames need not be decoded twice to be judged."""
        if isinstance(self.learner, DelayedLearner):
            self.learner.attach(engine)
        self.memory.share(engine.decoding)

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        """See ``Learner``; never raises what a target or an update may cause."""
        if self.frozen:
            return None
        if target is None:
            self._learn_nothing(window, end_us)
            return None
        try:
            self._check_target(target, window.ring.shape[1])
            self._judge_live(window, target)
        except StreamVdibError as error:
            self._refuse(str(error))
            self._learn_nothing(window, end_us)
            return None
        try:
            self._undo.begin(self._weights)
            weights = self.learner.learn(window, target, end_us)
            if weights is None:
                self._undo.keep()
                return None
            self._check_step(weights)
        except Exception as error:  # whatever an update does, decoding goes on
            return self._take_back(f"{type(error).__name__}: {error}")
        self._undo.keep()
        return self._accept(window, target, weights)

    def restart(self) -> None:
        """See ``Learner``."""
        self.learner.restart()

    @property
    def beta(self) -> float:
        """Of the learner; may be set while running."""
        return float(self._tuned.beta)

    @beta.setter
    def beta(self, beta: float) -> None:
        self._tuned.beta = beta

    @property
    def learning_rate(self) -> float:
        """Of the learner; may be set while running."""
        return float(self._tuned.learning_rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._tuned.learning_rate = rate

    def pause(self) -> None:
        """Stop changing weights."""
        self._tuned.pause()

    def resume(self) -> None:
        """Learn again after ``pause`` or after the guard froze, from the weights in place."""
        self.unfreeze()
        self._tuned.resume()

    def unfreeze(self) -> None:
        """Learn again, from the weights that are in place."""
        self.frozen = False
        self.counts["in_a_row"] = 0
        self.means = dict.fromkeys(_MEANS, math.nan)
        self.counts["accepted"] = 0
        self._anchor = self._copy()

    def metrics(self) -> dict[str, float]:
        """Counters, running means and the alarm (``guard_frozen`` is 1), by name."""
        inner: dict[str, float] = getattr(self.learner, "metrics", dict)()
        return {
            **inner,
            **{f"guard_{name}": float(count) for name, count in self.counts.items()},
            **{f"guard_error_{name}": mean for name, mean in self.means.items()},
            "guard_frozen": float(self.frozen),
        }

    def tensors(self) -> Mapping[str, Tensor]:
        """See ``Learner``."""
        numbers = [float(self.counts[n]) for n in _COUNTS]
        means = [self.means[n] for n in _MEANS]
        known = [not math.isnan(mean) for mean in means]
        return {
            **{f"inner.{name}": tensor for name, tensor in self.learner.tensors().items()},
            **{f"anchor.{name}": tensor for name, tensor in self._anchor.items()},
            **{f"memory.{name}": tensor for name, tensor in self.memory.tensors().items()},
            **{f"weights.{n}": t for n, t in named_weights(self._weights).items()},
            "counts": torch.tensor([*numbers, float(self.frozen)], dtype=torch.float64),
            "means": torch.nan_to_num(torch.tensor(means, dtype=torch.float64)),
            "known": torch.tensor(known),
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Learner``."""
        try:
            *numbers, frozen = tensors["counts"].tolist()
            means, known = tensors["means"].tolist(), tensors["known"].tolist()
            weights = weights_like(self._weights, below("weights.", tensors))
            anchor = below("anchor.", tensors)
            self.memory.load_tensors(below("memory.", tensors))
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"a guard's state requires all its parts; {error!r}") from error
        self.learner.load_tensors(below("inner.", tensors))
        self._weights, self._anchor, self.frozen = weights, anchor, bool(frozen)
        self.counts = {n: int(v) for n, v in zip(_COUNTS, numbers, strict=True)}
        self.means = {
            n: mean if is_known else math.nan
            for n, mean, is_known in zip(_MEANS, means, known, strict=True)
        }

    def _check_target(self, target: Target, n_lanes: int) -> None:
        limits, shape = self.limits, (n_lanes, *self.model.decoder_shape.output_shape)
        if target.dtype.kind not in "fiub" or tuple(target.shape) != shape:
            raise TargetError(
                f"a target must be numbers of shape {shape}; got {target.dtype} of {target.shape}"
            )
        if not bool(np.isfinite(target).all()):
            raise TargetError("a target must be finite; got nan or inf")
        if float(np.abs(target).max(initial=0.0)) > limits.largest_target:
            raise TargetError(
                f"a target must lie within +-{limits.largest_target}; got "
                f"{float(np.abs(target).max()):g}. Give pixels from 0 to 1."
            )

    def _judge_live(self, window: SpikeWindow, target: Target) -> None:
        """Test before training: the error of the frame as it is."""
        error = self.memory.error(window, target)
        self._follow("fast", error, self.limits.fast_rate)
        self._follow("slow", error, self.limits.slow_rate)

    def _check_step(self, weights: Weights) -> None:
        step, mean = self._undo.change(weights), self.means["step"]
        if not math.isfinite(step):
            raise TargetError("an update must leave finite weights; it did not")
        is_known = not math.isnan(mean) and self.counts["accepted"] >= 10
        if is_known and step > self.limits.largest_step * mean + 1e-12:
            raise TargetError(
                f"an update must change the weights by at most {self.limits.largest_step} times "
                f"the mean {mean:.3g}; it changed them by {step:.3g}"
            )
        self._follow("step", step, self.limits.fast_rate)

    def _accept(self, window: SpikeWindow, target: Target, weights: Weights) -> Weights | None:
        self._weights = weights
        self.counts["accepted"] += 1
        self.counts["in_a_row"] = 0
        accepted = self.counts["accepted"]
        if accepted % self.limits.memory_every == 0:
            self._test_memory()
            self.memory.remember(window.ordered(), target)
        if accepted < self.limits.warm_up:
            return weights
        if (why := self._worse("fast", "best")) or (
            why := self._worse("memory_fast", "memory_best")
        ):
            return self._freeze(why)
        self._note_best(accepted)
        return weights

    def _test_memory(self) -> None:
        error = self.memory.mean_error()
        if not math.isnan(error):
            self._follow("memory_fast", error, 0.5)
            self._follow("memory_slow", error, 0.1)

    def _note_best(self, accepted: int) -> None:
        """Slow means are compared with their own best; the best weights are kept now and then."""
        for slow, best in (("slow", "best"), ("memory_slow", "memory_best")):
            if not self.means[slow] > self.means[best]:
                self.means[best] = self.means[slow]
            else:
                self._follow(best, self.means[slow], _FORGETTING)
        if accepted % self.limits.anchor_every == 0 and not self.means["fast"] > self.means["slow"]:
            self._anchor = self._copy()

    def _worse(self, now: str, best: str) -> str:
        """A sentence if a mean is past its threshold, else nothing."""
        bound = self.means[best] * (1 + self.limits.tolerance) + self.limits.margin
        if self.means[now] > bound:
            return f"the {now} error {self.means[now]:.4g} must stay below {bound:.4g}"
        return ""

    def _refuse(self, why: str) -> None:
        self.counts["refused"] += 1
        self.reason = why
        _LOG.debug("target refused: %s", why)

    def _learn_nothing(self, window: SpikeWindow, end_us: int) -> None:
        """Tell a learner that learns between targets that none is known, or to be shown."""
        if isinstance(self.learner, DelayedLearner):
            self.learner.learn(window, None, end_us)
            self._undo.keep()

    def _take_back(self, why: str) -> Weights | None:
        self.counts["undone"] += 1
        self.counts["in_a_row"] += 1
        self.reason = why
        _LOG.warning("update undone: %s", why)
        self._weights = weights = self._undo.take_back()
        if self.counts["in_a_row"] >= self.limits.n_bad:
            return self._freeze(f"{self.counts['in_a_row']} bad updates in a row, the last: {why}")
        return weights

    def _freeze(self, why: str) -> Weights:
        self.frozen = True
        self.reason = why
        self.counts["freezes"] += 1
        _LOG.error("learning is frozen and the best weights are back: %s", why)
        return self._put_back(self._anchor)

    def _follow(self, name: str, value: float, rate: float) -> None:
        mean = self.means[name]
        self.means[name] = value if math.isnan(mean) else mean + rate * (value - mean)

    def _copy(self) -> dict[str, Tensor]:
        """Encoder weights, decoder, and the learner's own state."""
        return everything(self.learner, self.model, self._weights)

    def _put_back(self, copy: Mapping[str, Tensor]) -> Weights:
        self._weights = put_back(copy, self.learner, self.model, self._weights)
        return self._weights


def guarded(learner: Learner, model: Model, **limits: float) -> Guard:
    """A guard with the given ``Limits``.

    Raises:
        ConfigurationError: no limit has that name, or a value cannot be meant.
    """
    try:
        return Guard(learner, model, Limits(**limits))  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigurationError(f"limits of a guard: {error}") from error


def make_guarded_learner(engine: Engine, about: Mapping[str, Any]) -> Learner:
    """The learner of an engine from plain values, such as those of a log.

    Args:
        engine: that will learn.
        about: options of ``learning.build.make_learner``; under "guard" the ``Limits`` of a guard
            around it, none without that key; under "shadow" the options of a ``Shadow`` that all
            this is tried on.
    """
    from streamvdib.learning.build import make_learner
    from streamvdib.learning.shadow import shadowed

    options = dict(about)
    limits, shadow = options.pop("guard", None), options.pop("shadow", None)
    loops = engine if shadow is None else None  # a copy has none of the engine's loops

    def make(model: Model) -> Learner:
        learner = make_learner(model, n_lanes=engine.n_lanes, engine=loops, **options)
        return learner if limits is None else guarded(learner, model, **limits)

    return make(engine.model) if shadow is None else shadowed(engine, make, **shadow)
