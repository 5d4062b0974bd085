"""Adam for the membrane-potential rule: one update per time step, with L2 weight decay.

    g <- g + d w;  m <- b1 m + (1-b1) g;  s <- b2 s + (1-b2) g^2
    w <- w - r (m / (1-b1^n)) / (sqrt(s / (1-b2^n)) + e)

Kingma and Ba, 2014. "Learning Spatio-Temporal Representations Using Spike-Based
Backpropagation" (2018, section 2.3) averages the moments over the time steps of one batch and
forgets them with it: call ``forget`` when a sequence begins. Without, it is ordinary Adam.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError, LearningError
from streamvdib.learning.membrane_kernels import adam_in_place


class StepAdam:
    """Adam that changes contiguous weights in place. Memory: two numbers per weight.

    Args:
        weights: float32, each contiguous; changed by ``step``.
        learning_rate: r.
        weight_decay: d.
        mean_decay: b1.
        square_decay: b2.
        epsilon: e.
        rate_factors: of every weight tensor, times r; all 1 by default.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        *,
        learning_rate: float,
        weight_decay: float = 0.0,
        mean_decay: float = 0.9,
        square_decay: float = 0.999,
        epsilon: float = 1e-8,
        rate_factors: Sequence[float] | None = None,
    ) -> None:
        if not all(weight.is_contiguous() for weight in weights):
            raise ConfigurationError("Adam in place requires contiguous weights; call contiguous()")
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.mean_decay, self.square_decay = mean_decay, square_decay
        self.epsilon = epsilon
        self.n_steps = 0
        self._weights = list(weights)
        self._factors = list(rate_factors or [1.0] * len(self._weights))
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in weights]

    def forget(self) -> None:
        """Start the moments afresh."""
        self.n_steps = 0
        for moment in (*self._means, *self._squares):
            moment.zero_()

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Change the weights by one step down the gradients, one of each weight's shape.

        Raises:
            LearningError: a gradient is not finite; no weight has changed.
        """
        for index, gradient in enumerate(gradients):
            if not bool(torch.isfinite(gradient.sum())):
                raise LearningError(
                    f"gradients must be finite; that of layer {index} is not. The weights are "
                    "those of the step before; lower the learning rate."
                )
        if len(gradients) != len(self._weights):
            raise ConfigurationError(
                f"Adam requires one gradient per weight, {len(self._weights)}; got {len(gradients)}"
            )
        self.n_steps += 1
        for index, gradient in enumerate(gradients):
            weight = self._weights[index]
            if weight.device.type == "cpu" and weight.dtype == torch.float32:
                self._compiled(index, gradient.contiguous())
            else:
                self._reference(index, gradient)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes but the weights, by name."""
        named = {"n_steps": torch.tensor(self.n_steps)}
        for index, (mean, square) in enumerate(zip(self._means, self._squares, strict=True)):
            named |= {f"mean.{index}": mean, f"square.{index}": square}
        return named

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave."""
        self.n_steps = int(tensors["n_steps"])
        for index, (mean, square) in enumerate(zip(self._means, self._squares, strict=True)):
            mean.copy_(tensors[f"mean.{index}"])
            square.copy_(tensors[f"square.{index}"])

    def _compiled(self, index: int, gradient: Tensor) -> None:
        adam_in_place(
            self._weights[index].view(-1).numpy(),
            gradient.view(-1).numpy(),
            self._means[index].view(-1).numpy(),
            self._squares[index].view(-1).numpy(),
            self.learning_rate * self._factors[index],
            self.mean_decay,
            self.square_decay,
            self.n_steps,
            self.epsilon,
            self.weight_decay,
        )

    def _reference(self, index: int, gradient: Tensor) -> None:
        weight, mean, square = self._weights[index], self._means[index], self._squares[index]
        slope = gradient + self.weight_decay * weight
        mean.lerp_(slope, 1.0 - self.mean_decay)
        square.lerp_(slope.square(), 1.0 - self.square_decay)
        corrected = (square / (1.0 - self.square_decay**self.n_steps)).sqrt()
        rate = self.learning_rate * self._factors[index]
        weight -= rate / (1.0 - self.mean_decay**self.n_steps) * mean / (corrected + self.epsilon)
