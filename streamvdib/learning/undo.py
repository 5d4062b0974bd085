"""How the guard of a learner looks at an update before it lasts, and undoes it.

Any learner: everything is copied before the update. One that keeps its updates apart from the
weights for a while has methods of its own for it, and then nothing of their size is copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from streamvdib.encoder import LayerWeights, Weights
from streamvdib.engine import Learner
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.model import Model

Tensors = dict[str, Tensor]


class Undo(Protocol):
    """Between ``begin`` and ``keep`` or ``take_back`` lies one update."""

    def begin(self, weights: Weights) -> None:
        """An update will follow; these are the encoder's weights."""

    def change(self, weights: Weights) -> float:
        """Norm of the change of all weights, or a little more than it."""

    def keep(self) -> None:
        """The update lasts."""

    def take_back(self) -> Weights:
        """Undo the update, bit for bit; the encoder's weights."""


class Copies:
    """Of any learner. Memory: the weights and the learner's state, once more."""

    def __init__(self, learner: Learner, model: Model) -> None:
        self.learner, self.model = learner, model
        self._before: Tensors = {}
        self._weights: Weights = model.weights

    def begin(self, weights: Weights) -> None:
        """See ``Undo``."""
        self._before, self._weights = everything(self.learner, self.model, weights), weights

    def change(self, weights: Weights) -> float:
        """See ``Undo``."""
        after = named_weights(weights) | decoder_tensors(self.model)
        with torch.no_grad():
            squares = sum(
                float(((after[name] - self._before[name]) ** 2).sum(dtype=torch.float64))
                for name in after
                if after[name].is_floating_point()
            )
        return math.sqrt(squares)

    def keep(self) -> None:
        """See ``Undo``."""
        self._before = {}

    def take_back(self) -> Weights:
        """See ``Undo``."""
        return put_back(self._before, self.learner, self.model, self._weights)


class Held:
    """Of a learner whose updates wait before they are written. Memory: none of its own."""

    def __init__(self, learner: DelayedLearner) -> None:
        self.learner = learner
        learner.try_updates()

    def begin(self, weights: Weights) -> None:
        """See ``Undo``: what happened since the last ``keep`` is looked at together."""

    def change(self, weights: Weights) -> float:
        """See ``Undo``."""
        return self.learner.change()

    def keep(self) -> None:
        """See ``Undo``."""
        self.learner.keep()

    def take_back(self) -> Weights:
        """See ``Undo``."""
        return self.learner.take_back()


def make_undo(learner: Learner, model: Model) -> Undo:
    """The cheapest way for this learner."""
    if isinstance(learner, DelayedLearner) and learner.can_be_tried:
        return Held(learner)
    return Copies(learner, model)


def named_weights(weights: Weights, prefix: str = "encoder") -> Tensors:
    """An encoder's weights by name."""
    return {f"{prefix}.{i}.{n}": t for i, layer in enumerate(weights) for n, t in layer.tensors()}


def decoder_tensors(model: Model) -> Tensors:
    """The decoder's weights by name."""
    return {f"decoder.{n}": t for n, t in model.decoder.state_dict().items()}


def everything(learner: Learner, model: Model, weights: Weights) -> Tensors:
    """Copies of the encoder's weights, the decoder's, and the learner's own state."""
    inner = {f"learner.{n}": t for n, t in learner.tensors().items()}
    parts = {**named_weights(weights), **decoder_tensors(model), **inner}
    return {name: tensor.detach().clone() for name, tensor in parts.items()}


def put_back(copy: Mapping[str, Tensor], learner: Learner, model: Model, like: Weights) -> Weights:
    """Go on from ``everything``; the encoder's weights, in shape like ``like``."""
    model.decoder.load_state_dict(below("decoder.", copy))
    learner.load_tensors(below("learner.", copy))
    return weights_like(like, copy)


def weights_like(like: Weights, tensors: Mapping[str, Tensor], prefix: str = "encoder") -> Weights:
    """Copies of an encoder's weights by name; inverse of ``named_weights``."""
    return tuple(
        LayerWeights(*(tensors[f"{prefix}.{i}.{n}"].clone() for n, _ in layer.tensors()))
        for i, layer in enumerate(like)
    )


def below(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Copies of the tensors whose names begin so, by the rest of their names."""
    return {n[len(prefix) :]: t.clone() for n, t in tensors.items() if n.startswith(prefix)}
