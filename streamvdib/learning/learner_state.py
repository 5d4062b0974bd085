"""What learning changes and remembers, and one guarded update of it; shared online and offline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from streamvdib.encoder import Weights
from streamvdib.errors import CheckpointError, ConfigurationError, LearningError
from streamvdib.learning.baseline import Baseline
from streamvdib.learning.decoder_signal import decoder_signal
from streamvdib.learning.feedback import initial_feedback
from streamvdib.learning.gradients import (
    OFFLINE,
    Estimate,
    Span,
    estimate,
    named_weights,
    weights_from,
)
from streamvdib.learning.optimisers import (
    Adam,
    Optimiser,
    OptimiserState,
    clip,
    gradient_norm,
    update_module,
)
from streamvdib.learning.rule import Rule
from streamvdib.learning.sequence import LayerSequence
from streamvdib.model import Model

Tensors = dict[str, Tensor]
DIVERGENCE_NORM = 1e6  # of a gradient in nats per unit of weight
LARGEST_WEIGHT = 1e4


@dataclass(frozen=True)
class Settings:
    """Learning rates and the optimisers that use them."""

    rule: Rule = field(default_factory=Rule)
    encoder_optimiser: Optimiser = field(default_factory=Adam)
    decoder_optimiser: Optimiser = field(default_factory=Adam)
    learning_rate: float = 1e-3
    decoder_learning_rate: float | None = None  # the encoder's if None
    largest_norm: float = 0.0  # gradients are clipped to this common norm; 0: never
    divergence_norm: float = DIVERGENCE_NORM  # beyond it the run counts as diverged

    def __post_init__(self) -> None:
        check_rate("learning_rate", self.learning_rate)
        if self.decoder_learning_rate is not None:
            check_rate("decoder_learning_rate", self.decoder_learning_rate)
        if not (self.largest_norm >= 0.0 and self.divergence_norm > 0.0):
            raise ConfigurationError(
                "largest_norm must be 0 or more and divergence_norm above 0; got "
                f"{self.largest_norm} and {self.divergence_norm}"
            )

    @property
    def rate_of_decoder(self) -> float:
        """The decoder's learning rate, its own or the encoder's."""
        own = self.decoder_learning_rate
        return self.learning_rate if own is None else own


@dataclass(frozen=True)
class Outcome:
    """What one update was made of; tensors, so that nothing waits for the device."""

    estimate: Estimate
    norm: Tensor  # of the gradient before clipping


class LearnerState:
    """Weights, decoder, prior, feedback, baseline and optimiser memory, with one update.

    Memory: up to four times the model's weights (Adam), six with a per-weight baseline.
    """

    def __init__(self, model: Model, settings: Settings, *, seed: int = 0) -> None:
        self.model = model
        self.settings = settings
        self.rule = settings.rule
        generator = torch.Generator().manual_seed(seed)
        some = model.weights[-1].bias
        self.learned = initial_feedback(model.encoder, self.rule.feedback, generator)
        self.learned |= self.rule.prior.initial_parameters(model.encoder.n_outputs)
        self.learned = {n: t.to(some.device, some.dtype) for n, t in self.learned.items()}
        self.baseline = Baseline(self.rule)
        self.encoder_memory, self.decoder_memory = OptimiserState(), OptimiserState()
        self.encoder = {n: t.detach().clone() for n, t in named_weights(model.weights).items()}
        self._largest = math.inf  # no weight is larger; inf: not looked at yet

    @property
    def weights(self) -> Weights:
        """The encoder's weights as they are; they change in place."""
        return weights_from(self.encoder, len(self.model.encoder.layers))

    def update(
        self,
        sequences: tuple[LayerSequence, ...],
        targets: Tensor,
        steps: list[int],
        learning_rate: float,
        decoder_learning_rate: float,
        span: Span = OFFLINE,
    ) -> Outcome:
        """One update of everything.

        Raises:
            LearningError: the loss or gradient is not finite or too large; nothing has changed.
        """
        model = self.model
        signal = decoder_signal(
            model.decoder, model.likelihood, sequences[-1].spikes, targets, steps, model.tau_d
        )
        with torch.no_grad():
            found = estimate(
                model.encoder, self.weights, sequences, signal, self.rule, self.learned,
                self.baseline, span,
            )  # fmt: skip
            self.baseline.finish(found.gradients)
            together = found.gradients | {f"decoder.{n}": g for n, g in signal.gradients.items()}
            norm = gradient_norm(together)
            if not norm.is_meta:  # a tensor without a value, for checks of placement
                size = self._check(norm, found)
                self._check_reach(size, learning_rate, decoder_learning_rate)
            if self.settings.largest_norm > 0:
                clip(together, norm, self.settings.largest_norm)
            self._apply(found.gradients, signal.gradients, learning_rate, decoder_learning_rate)
        return Outcome(found, norm)

    def _apply(
        self, encoder: Tensors, decoder: Tensors, learning_rate: float, decoder_rate: float
    ) -> None:
        settings = self.settings
        settings.encoder_optimiser.update(
            self.encoder | self.learned, encoder, self.encoder_memory, learning_rate
        )
        update_module(
            settings.decoder_optimiser,
            self.model.decoder,
            decoder,
            self.decoder_memory,
            decoder_rate,
        )

    def _check(self, norm: Tensor, found: Estimate) -> float:
        size, loss = float(norm), float(found.decoder_loss)
        limit = self.settings.divergence_norm
        if not (size <= limit and abs(loss) < float("inf")):
            raise LearningError(
                f"a gradient must be finite and at most {limit:g}; got a norm of {size:g} "
                f"at a decoder loss of {loss:g} nats. The last good weights are in place; "
                "use a smaller learning rate or clipping."
            )
        return size

    def _check_reach(self, norm: float, learning_rate: float, decoder_rate: float) -> None:
        """Raise where the update could bring a weight beyond ``LARGEST_WEIGHT``.

        The optimisers bound what an update changes, so the weights are looked at only where the
        sum of these bounds comes near.
        """
        settings = self.settings
        if settings.largest_norm > 0:
            norm = min(norm, settings.largest_norm)
        change = max(
            settings.encoder_optimiser.largest_change(norm, learning_rate),
            settings.decoder_optimiser.largest_change(norm, decoder_rate),
        )
        if not self._largest + change <= LARGEST_WEIGHT:
            decoder = self.model.decoder.parameters()
            self._largest = largest_of([*self.encoder.values(), *decoder])
            if not self._largest + change <= LARGEST_WEIGHT:
                raise LearningError(
                    f"an update must leave weights of at most {LARGEST_WEIGHT:g}; got one that "
                    f"may change them by {change:g}, and the largest is {self._largest:g}. The "
                    "last good weights are in place; use a smaller learning rate or clipping."
                )
        self._largest += change

    def tensors(self) -> Tensors:
        """Everything that changes, by name (the decoder's weights included)."""
        named = self.encoder | self.learned | self.baseline.state
        named |= {f"decoder.{n}": t for n, t in self.model.decoder.state_dict().items()}
        for prefix, memory in self._memories():
            named |= {f"{prefix}.first.{n}": t for n, t in memory.first.items()}
            named |= {f"{prefix}.second.{n}": t for n, t in memory.second.items()}
            named[f"{prefix}.n_updates"] = torch.tensor(float(memory.n_updates))
        return named

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave.

        Raises:
            CheckpointError: a tensor is missing or has another shape.
        """
        for name, tensor in (self.encoder | self.learned).items():
            _copy(name, tensor, tensors)
        for name, tensor in self.model.decoder.state_dict().items():
            _copy(f"decoder.{name}", tensor, tensors)
        self._largest = math.inf
        for prefix, memory in self._memories():
            memory.first = _below(f"{prefix}.first.", tensors)
            memory.second = _below(f"{prefix}.second.", tensors)
            memory.n_updates = int(tensors[f"{prefix}.n_updates"])
        self.baseline.load_state({n: t for n, t in tensors.items() if n.startswith("baseline.")})

    def _memories(self) -> tuple[tuple[str, OptimiserState], ...]:
        return (
            ("optimiser.encoder", self.encoder_memory),
            ("optimiser.decoder", self.decoder_memory),
        )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {n[len(prefix) :]: t.clone() for n, t in tensors.items() if n.startswith(prefix)}


def _copy(name: str, into: Tensor, tensors: Mapping[str, Tensor]) -> None:
    if name not in tensors or tensors[name].shape != into.shape:
        came = tuple(tensors[name].shape) if name in tensors else "nothing"
        raise CheckpointError(
            f"{name} must have shape {tuple(into.shape)}; got {came}. "
            "The checkpoint is of another model or rule."
        )
    into.copy_(tensors[name])


def check_rate(name: str, rate: float) -> float:
    """The rate; raise ``ConfigurationError`` where it is no finite number of 0 or more."""
    if not 0.0 <= rate < math.inf:
        raise ConfigurationError(f"{name} must be a finite number of 0 or more; got {rate}")
    return rate


def largest_of(weights: Iterable[Tensor]) -> float:
    """The largest absolute value; nan where one is."""
    with torch.no_grad():
        return float(torch.stack([tensor.abs().max() for tensor in weights]).max())


def check_sizes(weights: Iterable[Tensor]) -> None:
    """Raise ``LearningError`` where a weight is not finite or beyond ``LARGEST_WEIGHT``."""
    largest = largest_of(weights)
    if not largest <= LARGEST_WEIGHT:
        raise LearningError(
            f"weights must be finite and at most {LARGEST_WEIGHT:g}; got {largest:g}. "
            "Use a smaller learning rate or clipping."
        )
