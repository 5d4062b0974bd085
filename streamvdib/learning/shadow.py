"""Learning on a copy, which takes the place of the original only once it is better.

The copy has its own encoder state, window and decoder, and sees the same inputs. One target in
``holdout_every`` is not learned from: on it the frames of both are compared. After ``n_trials``
such comparisons the copy's weights are swapped in if its mean squared error is lower by
``margin``, or thrown away if it is higher by as much.

After steps that it did not see (a pause, another recording) the copy begins anew from silence, and
compares and learns again once its window is full.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace, make_backend
from streamvdib.encoder import EncoderState, Weights
from streamvdib.engine import Engine, Learner
from streamvdib.engine_state import encoder_tensors, fill_encoder
from streamvdib.errors import CheckpointError, ConfigurationError, TargetError
from streamvdib.learning.guard_memory import Memory
from streamvdib.learning.target_gate import check_target
from streamvdib.learning.undo import below, named_weights, weights_like
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

_LOG = logging.getLogger(__name__)
Target = npt.NDArray[np.float32]
_COUNTS = ("n_targets", "n_compared", "n_refused", "n_swaps", "n_resets")


class Shadow:
    """A ``Learner`` whose weights are tried on a copy first.

    Memory: one model, one encoder state and one window more.

    Args:
        model: of the engine.
        make_learner: makes the learner of the copy.
        n_lanes: of the engine.
        seed: of the engine.
        backend: of the copy.
        holdout_every: one target in so many is held out.
        n_trials: comparisons before a decision.
        margin: by which fraction the copy's error must be lower, or higher.
    """

    def __init__(
        self,
        model: Model,
        make_learner: Callable[[Model], Learner],
        *,
        n_lanes: int = 1,
        seed: int = 0,
        backend: str = "auto",
        holdout_every: int = 5,
        n_trials: int = 20,
        margin: float = 0.02,
    ) -> None:
        check_shadow(holdout_every, n_trials, margin)
        self.live, self.model = model, replace(model, decoder=copy.deepcopy(model.decoder))
        self._make_learner, self.learner = make_learner, make_learner(self.model)
        self.holdout_every, self.n_trials, self.margin = holdout_every, n_trials, margin
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.live_error = self.shadow_error = 0.0  # sums over the comparisons so far
        self.last = (math.nan, math.nan)  # mean errors of the last decision: live, shadow
        self._window = SpikeWindow(model.tau_d, n_lanes, model.encoder.n_outputs)
        self._backend = make_backend(
            backend, model.encoder, model.weights, n_lanes=n_lanes, seed=seed
        )
        self._weights = self._live_weights = model.weights
        self._tuned: Any = self.learner  # what its makers let be changed while it runs
        self._step = 0  # that the next chunk is expected to begin with
        self._ready_step = 0  # from which on the copy's window is full

    @property
    def update_every(self) -> int:
        """Steps between updates."""
        return self.learner.update_every

    @property
    def paused(self) -> bool:
        """Whether it only looks on."""
        return self.learner.paused

    @property
    def beta(self) -> float:
        """Of the copy's learner; may be set while running."""
        return float(self._tuned.beta)

    @beta.setter
    def beta(self, beta: float) -> None:
        self._tuned.beta = beta

    @property
    def learning_rate(self) -> float:
        """Of the copy's learner; may be set while running."""
        return float(self._tuned.learning_rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._tuned.learning_rate = rate

    def pause(self) -> None:
        """Stop learning, on the copy too."""
        self._tuned.pause()

    def resume(self) -> None:
        """Learn again after ``pause``, or after the copy's guard froze."""
        self._tuned.resume()

    def watch(self, trace: EncoderTrace) -> None:
        """See ``Learner``: the copy makes its own spikes from the same inputs."""
        first_step = trace.inputs.first_step
        if first_step != self._step:
            self._begin(first_step)
            self.learner.restart()
            self._ready_step = first_step + self._window.tau_d
        self._step = first_step + trace.inputs.n_steps
        own = self._backend.watch(trace.inputs)
        self._window.push(own.spikes[-1])
        self.learner.watch(own)

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        """See ``Learner``: weights only when the copy has won."""
        if target is None or self._step < self._ready_step:
            return None
        self.counts["n_targets"] += 1
        if self.counts["n_targets"] % self.holdout_every:
            weights = self.learner.learn(self._window, target, end_us)
            if weights is not None:
                self._weights = weights
                self._backend.set_weights(weights)
            return None
        try:
            check_target(target, (window.ring.shape[1], *self.live.decoder_shape.output_shape))
        except (TargetError, TypeError) as error:
            self.counts["n_refused"] += 1
            _LOG.debug("held-out target refused: %s", error)
            return None
        self._compare(window, target)
        return self._decide() if self.counts["n_compared"] >= self.n_trials else None

    def restart(self) -> None:
        """See ``Learner``."""
        self._begin(self._step)
        self.learner.restart()

    def metrics(self) -> dict[str, float]:
        """Swaps, resets and the mean errors of the last decision, by name."""
        inner: dict[str, float] = getattr(self.learner, "metrics", dict)()
        counts = {f"shadow_{name}": float(count) for name, count in self.counts.items()}
        return {**inner, **counts, "live_error": self.last[0], "shadow_error": self.last[1]}

    def tensors(self) -> Mapping[str, Tensor]:
        """See ``Learner``."""
        state = self._backend.state()
        numbers = [float(self.counts[n]) for n in _COUNTS]
        steps = [float(self._step), float(self._ready_step), float(self._window.n_pushed)]
        sums = [self.live_error, self.shadow_error, *steps]
        return {
            **{f"inner.{n}": t for n, t in self.learner.tensors().items()},
            **{f"decoder.{n}": t for n, t in self.model.decoder.state_dict().items()},
            **named_weights(self._weights, "weights"),
            **named_weights(self._live_weights, "live"),
            **{f"state.{n}": t for n, t in encoder_tensors(state).items()},
            "window": torch.from_numpy(self._window.ring),
            "numbers": torch.tensor([*numbers, *sums], dtype=torch.float64),
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Learner``."""
        try:
            *counts, live, shadow, step, ready_step, n_pushed = tensors["numbers"].tolist()
            layers = fill_encoder(self._backend.state(), below("state.", tensors))
            window = tensors["window"].numpy()
            weights = weights_like(self._weights, tensors, "weights")
            live_weights = weights_like(self._live_weights, tensors, "live")
            self.model.decoder.load_state_dict(below("decoder.", tensors))
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"a shadow's state requires all its parts; {error!r}") from error
        self.learner.load_tensors(below("inner.", tensors))
        self._window.ring[:] = window
        self._window.n_pushed = int(n_pushed)
        self._weights, self._live_weights = weights, live_weights
        self._backend.set_weights(weights)
        self._step, self._ready_step = int(step), int(ready_step)
        self._backend.restore(EncoderState(self._step, layers))
        self.counts = {name: int(count) for name, count in zip(_COUNTS, counts, strict=True)}
        self.live_error, self.shadow_error = live, shadow

    def _compare(self, window: SpikeWindow, target: Target) -> None:
        self.live_error += Memory(self.live, 0).error(window, target)
        self.shadow_error += Memory(self.model, 0).error(self._window, target)
        self.counts["n_compared"] += 1

    def _decide(self) -> Weights | None:
        live, shadow = self.live_error / self.n_trials, self.shadow_error / self.n_trials
        self.last = (live, shadow)
        self.live_error = self.shadow_error = 0.0
        self.counts["n_compared"] = 0
        if shadow < live * (1 - self.margin):
            self.live.decoder.load_state_dict(self.model.decoder.state_dict())
            self._live_weights = self._weights
            self.counts["n_swaps"] += 1
            return self._weights
        if not shadow <= live * (1 + self.margin):
            self._reset()
        return None

    def _reset(self) -> None:
        """The copy begins anew from the original, with a fresh learner."""
        self.counts["n_resets"] += 1
        self.model.decoder.load_state_dict(self.live.decoder.state_dict())
        old, new = self._tuned, self._make_learner(self.model.with_weights(self._live_weights))
        self.learner = self._tuned = new
        for name in ("beta", "learning_rate"):  # as they were set while it ran
            if hasattr(old, name):
                setattr(self._tuned, name, getattr(old, name))
        self._weights = self._live_weights
        self._backend.set_weights(self._weights)

    def _begin(self, step: int) -> None:
        """Forget every spike; the next step has this number."""
        fresh = self.model.encoder.initial_state(self._window.ring.shape[1])
        self._backend.restore(EncoderState(step, fresh.layers))
        self._window.clear()


def check_shadow(holdout_every: int = 5, n_trials: int = 20, margin: float = 0.02) -> None:
    """Raise ``ConfigurationError`` for options that cannot be meant."""
    if holdout_every < 2 or n_trials < 1 or not 0 <= margin < 1:
        raise ConfigurationError(
            "a shadow must hold out one target in 2 or more, decide after 1 trial or more, and "
            f"have a margin in [0, 1); got {holdout_every}, {n_trials}, {margin}"
        )


def shadowed(engine: Engine, make_learner: Callable[[Model], Learner], **options: Any) -> Shadow:
    """A shadow for an engine; options are ``holdout_every``, ``n_trials`` and ``margin``.

    Raises:
        ConfigurationError: no option has that name, or a value cannot be meant.
    """
    try:
        return Shadow(
            engine.model, make_learner, n_lanes=engine.n_lanes, seed=engine.seed, **options
        )
    except TypeError as error:
        raise ConfigurationError(f"options of a shadow: {error}") from error
