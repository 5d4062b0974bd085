"""Learning on a copy, which takes the place of the original only once it is better.

The copy has its own encoder state, window and decoder, and sees the same inputs. One target in
``holdout_every`` is not learned from: on it the frames of both are compared. After ``n_trials``
such comparisons the copy's weights are swapped in if its mean squared error is lower by
``margin``, or thrown away if it is higher by as much.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace, make_backend
from streamvdib.encoder import EncoderState, LayerWeights, Weights
from streamvdib.engine import Learner
from streamvdib.engine_state import encoder_tensors, fill_encoder
from streamvdib.errors import CheckpointError, ConfigurationError
from streamvdib.learning.guard_memory import Memory
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Target = npt.NDArray[np.float32]
_COUNTS = ("n_targets", "n_compared", "n_swaps", "n_resets")


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
        if holdout_every < 2 or n_trials < 1 or not 0 <= margin < 1:
            raise ConfigurationError(
                "a shadow requires holdout_every of at least 2, n_trials of at least 1 and a "
                f"margin in [0, 1); got {holdout_every}, {n_trials}, {margin}"
            )
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

    @property
    def update_every(self) -> int:
        """Steps between updates."""
        return self.learner.update_every

    @property
    def paused(self) -> bool:
        """Whether it only looks on."""
        return self.learner.paused

    def watch(self, trace: EncoderTrace) -> None:
        """See ``Learner``: the copy makes its own spikes from the same inputs."""
        own = self._backend.watch(trace.inputs)
        self._window.push(own.spikes[-1])
        self.learner.watch(own)

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        """See ``Learner``: weights only when the copy has won."""
        if target is None:
            return None
        self.counts["n_targets"] += 1
        if self.counts["n_targets"] % self.holdout_every:
            weights = self.learner.learn(self._window, target, end_us)
            if weights is not None:
                self._weights = weights
                self._backend.set_weights(weights)
            return None
        self._compare(window, target)
        return self._decide() if self.counts["n_compared"] >= self.n_trials else None

    def restart(self) -> None:
        """See ``Learner``."""
        state = self._backend.state()
        fresh = self.model.encoder.initial_state(self._window.ring.shape[1])
        self._backend.restore(EncoderState(state.step, fresh.layers))
        self._window.clear()
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
        sums = [self.live_error, self.shadow_error, float(state.step), self._window.n_pushed]
        return {
            **{f"inner.{n}": t for n, t in self.learner.tensors().items()},
            **{f"decoder.{n}": t for n, t in self.model.decoder.state_dict().items()},
            **_named("weights", self._weights),
            **_named("live", self._live_weights),
            **{f"state.{n}": t for n, t in encoder_tensors(state).items()},
            "window": torch.from_numpy(self._window.ring),
            "numbers": torch.tensor([*numbers, *sums], dtype=torch.float64),
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Learner``."""
        try:
            *counts, live, shadow, step, n_pushed = tensors["numbers"].tolist()
            layers = fill_encoder(self._backend.state(), _below("state.", tensors))
            window = tensors["window"].numpy()
            weights = _like("weights", self._weights, tensors)
            live_weights = _like("live", self._live_weights, tensors)
            self.model.decoder.load_state_dict(_below("decoder.", tensors))
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"a shadow's state requires all its parts; {error!r}") from error
        self.learner.load_tensors(_below("inner.", tensors))
        self._window.ring[:] = window
        self._window.n_pushed = int(n_pushed)
        self._weights, self._live_weights = weights, live_weights
        self._backend.set_weights(weights)
        self._backend.restore(EncoderState(int(step), layers))
        self.counts = {name: int(count) for name, count in zip(_COUNTS, counts, strict=True)}
        self.live_error, self.shadow_error = live, shadow

    def _compare(self, window: SpikeWindow, target: Target) -> None:
        self.live_error += Memory(self.live, 0).error(window.ordered(), target)
        self.shadow_error += Memory(self.model, 0).error(self._window.ordered(), target)
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
        self.learner = self._make_learner(self.model.with_weights(self._live_weights))
        self._weights = self._live_weights
        self._backend.set_weights(self._weights)


def _named(prefix: str, weights: Weights) -> dict[str, Tensor]:
    return {f"{prefix}.{i}.{n}": t for i, layer in enumerate(weights) for n, t in layer.tensors()}


def _like(prefix: str, like: Weights, tensors: Mapping[str, Tensor]) -> Weights:
    return tuple(
        LayerWeights(*(tensors[f"{prefix}.{i}.{n}"].clone() for n, _ in layer.tensors()))
        for i, layer in enumerate(like)
    )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n[len(prefix) :]: t.clone() for n, t in tensors.items() if n.startswith(prefix)}
