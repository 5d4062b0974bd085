"""Learning on a CPU in compiled loops: the ``score`` rule, weights touched once for K steps.

The same updates as ``OnlineLearner``, each of rank n_credited; their factors are written into the
weights once for a block of K steps (``backends.numba_eprop``). In between, currents are put right,
so spikes are those of weights changed at once. Exact for SGD; an optimiser that divides by a
running square of the gradient has no such factors.

The decoder is asked, and learns, every ``decode_every`` steps, where a target is known. With
``every_step`` the encoder learns at each step in between too, from that step's own information cost
and the decoder loss of the last time; without, only when the decoder does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.backends.factor_rings import FactorRings
from streamvdib.backends.numba_backend import NumbaBackend
from streamvdib.backends.numba_updates import (
    BETA,
    DECODER_SQUARE,
    DIVERGED,
    EVERY_STEP,
    HAS_LOSS,
    HOLDS,
    INFORMATION,
    LARGEST_GRADIENT,
    LARGEST_NORM,
    LEARNING_RATE,
    LOSS,
    MEAN_RATE,
    N_SEEN,
    N_UPDATES,
    NORM,
    PRIOR_COST,
    SCALE,
)
from streamvdib.encoder import Weights
from streamvdib.engine import Engine
from streamvdib.errors import CheckpointError, ConfigurationError, LearningError
from streamvdib.learning.compiled_decoder import CompiledDecoderStep, can_step
from streamvdib.learning.decoder_step import DecoderStep
from streamvdib.learning.delayed_backend import DelayedBackend
from streamvdib.learning.delayed_demands import why_not_delayed, why_not_on
from streamvdib.learning.feedback import feedback_name, initial_feedback
from streamvdib.learning.learner_state import Settings, check_rate, check_sizes
from streamvdib.learning.online import trace_steps
from streamvdib.learning.running_rates import RunningRates
from streamvdib.learning.target_gate import check_target
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Target = npt.NDArray[np.float32]
BLOCK = 16  # K
WEIGHT_CHECK_EVERY = 100  # calls of ``learn``


class DelayedLearner(RunningRates):
    """The ``Learner`` of one stream on a CPU.

    Memory: the factors of n_credited + K + decode_every steps, and what the decoder's optimiser
    remembers.

    Args:
        model: the engine's own; its decoder changes in place.
        settings: rule, optimisers, rates; see ``why_not_delayed``.
        decode_every: steps between losses and updates of the decoder.
        every_step: learn at each step, not only when the decoder does.
        n_credited: steps that a loss credits; the decoder's window, or what lies between two
            updates where that is more, if None.
        block: K.
        warm_up: steps after a start or restart before the first update.
        seed: of random feedback.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        *,
        decode_every: int = 1,
        every_step: bool = True,
        n_credited: int | None = None,
        block: int = BLOCK,
        warm_up: int = 0,
        seed: int = 0,
    ) -> None:
        if why := why_not_delayed(model, settings):
            raise ConfigurationError(f"compiled loops that learn require {why}")
        if min(decode_every, block, n_credited or 1) < 1:
            raise ConfigurationError(
                "decode_every, n_credited and block must be at least 1 step; "
                f"got {decode_every}, {n_credited}, {block}"
            )
        self.model, self.settings, self.update_every = model, settings, decode_every
        between = 1 if every_step else decode_every
        self.n_credited, self.block = n_credited or max(model.tau_d, between), block
        self.every_step, self.warm_up = every_step, warm_up
        generator = torch.Generator().manual_seed(seed)
        self.feedback = initial_feedback(model.encoder, settings.rule.feedback, generator)
        self.decoder: DecoderStep | CompiledDecoderStep = (
            CompiledDecoderStep(model)
            if can_step(model, settings.decoder_optimiser)
            else DecoderStep(model, settings.decoder_optimiser)
        )
        super().__init__(settings)
        self._beta = settings.rule.beta
        self.n_calls = 0
        self.backend: DelayedBackend | None = None
        self._loss = math.nan
        self._on_trial = False  # updates are judged before they last
        self._rate = self._square = 0.0  # of the decoder's update that is on trial

    @property
    def beta(self) -> float:
        """Weight of the information cost; may be set while running."""
        return self._beta

    @beta.setter
    def beta(self, beta: float) -> None:
        self._beta = check_rate("beta", beta)

    @property
    def generation(self) -> int:
        """Updates of the encoder so far."""
        return 0 if self.backend is None else int(self.backend.rings.counts[N_UPDATES])

    def attach(self, engine: Engine) -> None:
        """Learn in the loops of this engine from now on; call it once for every engine.

        Raises:
            ConfigurationError: the engine runs other loops, or several lanes.
        """
        if isinstance(engine.backend, DelayedBackend):
            if engine.backend is not self.backend:
                raise ConfigurationError("an engine's loops must have one learner; they have one")
            return
        if why := why_not_on(engine):
            raise ConfigurationError(f"compiled loops that learn require {why}")
        assert isinstance(engine.backend, NumbaBackend)
        rings = self._rings(engine.backend)
        if self.backend is not None:
            self.backend.settle()
            for name, array in self.backend.rings.arrays().items():
                rings.arrays()[name][...] = array
            engine.set_weights(self.backend.live)
        self.backend = engine.backend = DelayedBackend(engine, rings)
        self.decoder.share(engine.decoding)
        self._set_numbers()

    def watch(self, trace: EncoderTrace) -> None:
        """See ``Learner``: the loops have learned already."""
        self._set_numbers()

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        """See ``Learner``: the loss of this window, for this step and until the next call.

        Raises:
            TargetError: the target has another shape or is not finite.
            LearningError: an update was not finite; the last good weights are in place, and
                the learner is paused.
        """
        backend = self._attached()
        numbers, counts = backend.rings.numbers, backend.rings.counts
        if target is None:
            counts[HAS_LOSS] = 0
            return None
        check_target(target, (1, *self.model.decoder_shape.output_shape))
        self._set_numbers()
        loss, square = self.decoder.loss(window, target)
        if not (math.isfinite(loss) and square <= LARGEST_GRADIENT**2) or counts[DIVERGED]:
            raise self._diverged(loss, math.sqrt(square))
        numbers[LOSS], numbers[DECODER_SQUARE], counts[HAS_LOSS] = loss, square, 1
        self._loss = loss
        backend.update()
        if counts[DIVERGED]:
            raise self._diverged(loss, float(numbers[NORM]))
        if counts[N_SEEN] > self.warm_up:
            self._rate, self._square = self.decoder_learning_rate * float(numbers[SCALE]), square
            if not self._on_trial:
                self.decoder.update(self._rate)
        self.n_calls += 1
        if self.n_calls % WEIGHT_CHECK_EVERY == 0:
            self._check_weights()
        return backend.live

    @property
    def can_be_tried(self) -> bool:
        """Whether updates can be judged before they last, without a copy of the weights."""
        return isinstance(self.decoder, CompiledDecoderStep)

    def try_updates(self) -> None:
        """From now on, ``keep`` or ``take_back`` must follow every ``learn``."""
        backend = self._attached()
        backend.settle()  # factors of steps before have no norms
        self._on_trial = True
        backend.rings.counts[HOLDS] = 1
        backend.mark()

    def change(self) -> float:
        """Of all weights since the last ``keep``: its norm is at most this."""
        return math.hypot(self._attached().change(), self._rate * math.sqrt(self._square))

    def keep(self) -> None:
        """Let the updates since the last ``keep`` last."""
        if self._rate:
            self.decoder.update(self._rate)
        self._rate = self._square = 0.0
        self._attached().mark()

    def take_back(self) -> Weights:
        """Undo the updates since the last ``keep``, bit for bit."""
        self._rate = self._square = 0.0
        self.is_paused = False
        self._attached().take_back()
        return self._attached().live

    def restart(self) -> None:
        """See ``Learner``."""
        self._attached().settle()

    def pause(self) -> None:
        """Stop changing weights."""
        self.is_paused = True

    def resume(self) -> None:
        """Learn again, from the next steps on."""
        self.is_paused = False

    def settle(self) -> None:
        """Write what is pending into the weights, for those who read them."""
        self._attached().settle()

    def metrics(self) -> dict[str, float]:
        """Of the last update: nats, gradient norm where gradients are clipped."""
        numbers = self._attached().rings.numbers
        return {
            "updates": float(self.generation),
            "learning_rate": self.learning_rate,
            "beta": self.beta,
            "decoder_nats": self._loss,
            "information_nats_per_step": float(numbers[INFORMATION]),
            "gradient_norm": float(numbers[NORM]),
        }

    def tensors(self) -> Mapping[str, Tensor]:
        """See ``Learner``; the factors that are pending are among them."""
        arrays = self._attached().rings.arrays()
        is_known = math.isfinite(self._loss)
        loss = self._loss if is_known else 0.0
        rates = [self.learning_rate, self.decoder_learning_rate, self.beta, loss]
        return (
            {name: torch.from_numpy(array) for name, array in arrays.items()}
            | self.decoder.tensors()
            | {
                "rates": torch.tensor(rates, dtype=torch.float64),
                "numbers": torch.tensor([self.n_calls, int(self.is_paused), int(is_known)]),
            }
        )

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Learner``."""
        arrays = self._attached().rings.arrays()
        for name, array in arrays.items():
            if name not in tensors or tuple(tensors[name].shape) != array.shape:
                raise CheckpointError(
                    f"a learner's state requires {name} as this model and rule have it; "
                    "the checkpoint is of another"
                )
        self.decoder.load_tensors(tensors)
        for name, array in arrays.items():
            array[...] = tensors[name].numpy()
        self.learning_rate, self.decoder_learning_rate, self.beta, self._loss = tensors[
            "rates"
        ].tolist()
        self.n_calls, is_paused, is_known = tensors["numbers"].tolist()
        self.is_paused = bool(is_paused)
        if not is_known:
            self._loss = math.nan

    def _attached(self) -> DelayedBackend:
        if self.backend is None:
            raise ConfigurationError("a learner in compiled loops must be attached to its engine")
        return self.backend

    def _rings(self, inner: NumbaBackend) -> FactorRings:
        rule, n_hidden = self.settings.rule, len(self.model.encoder.layers) - 1
        some = torch.zeros(self.model.encoder.n_outputs, dtype=torch.float64)
        logits = rule.prior.logits({}, some).expand(len(some))
        rings = FactorRings(
            inner.layout,
            inner.network.memory.dtype,
            [self.feedback[feedback_name(index)].numpy() for index in range(n_hidden)],
            logits.numpy(),
            n_credited=self.n_credited,
            block=self.block,
            n_held=self.update_every,
            n_costs=self.n_credited + trace_steps(self.model),
            warm_up=self.warm_up,
            has_baseline=rule.baseline == "mean",
        )
        rings.numbers[PRIOR_COST] = float(torch.nn.functional.softplus(logits).sum())
        rings.numbers[MEAN_RATE] = rule.baseline_rate
        rings.counts[EVERY_STEP], rings.counts[HOLDS] = self.every_step, self._on_trial
        return rings

    def _set_numbers(self) -> None:
        numbers = self._attached().rings.numbers
        numbers[BETA], numbers[LEARNING_RATE] = self.beta, self.learning_rate
        numbers[LARGEST_NORM] = self.settings.largest_norm

    def _diverged(self, loss: float, norm: float) -> LearningError:
        self._attached().rings.counts[DIVERGED] = 0
        self.is_paused = True
        return LearningError(
            f"a gradient must be finite and at most {LARGEST_GRADIENT:g}; got a norm of {norm:g} "
            f"at a decoder loss of {loss:g} nats. The last good weights are in place; "
            "use a smaller learning rate or clipping."
        )

    def _check_weights(self) -> None:
        try:
            check_sizes(t for w in self._attached().live for _, t in w.tensors())
        except LearningError:
            self.is_paused = True
            raise
