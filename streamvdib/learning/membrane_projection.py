"""Gradients without the direction of the mean input.

    m(t) = m(t-1) + (x(t) - m(t-1)) / t        averaged over lanes and steps, since the beginning
    g   <- g - (g m) m' / (m' m)               (every row of the gradient, one per neuron)

What is left of the gradient changes no neuron's current on the mean input, so an error that all
lanes share cannot drive a whole neuron into silence or into spiking at every step. It is gradient
projection memory (Saha, Garg and Roy, 2021, arXiv:2103.09762) with a memory of
one direction, the mean input, in place of the principal directions of a past task's inputs.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def without_direction(gradient: Tensor, direction: Tensor) -> Tensor:
    """The gradient's rows without their part along ``direction``.

    Args:
        gradient: (n_outputs, n_inputs).
        direction: of any length, (n_inputs,); nothing is taken out along zero.
    """
    square = torch.dot(direction, direction)
    along = (gradient @ direction) / square.clamp_min(torch.finfo(direction.dtype).tiny)
    return gradient - torch.outer(along, direction)


class MeanInput:
    """The mean of everything that a layer has received. Memory: n_inputs.

    >>> mean = MeanInput(2)
    >>> mean.push(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    >>> mean.push(torch.tensor([[0.0, 0.0], [0.0, 1.0]]))
    >>> mean.direction.tolist()
    [0.5, 0.5]
    """

    def __init__(self, n_inputs: int, *, device: torch.device | str | None = None) -> None:
        self.direction = torch.zeros(n_inputs, device=device)  # m, (n_inputs,)
        self._n_steps = 0

    def push(self, inputs: Tensor) -> None:
        """Take in x(t), (n_lanes, n_inputs)."""
        self._n_steps += 1
        self.direction += (inputs.mean(0) - self.direction) / self._n_steps

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        return {"direction": self.direction, "n_steps": torch.tensor(self._n_steps)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave."""
        self.direction.copy_(tensors["direction"])
        self._n_steps = int(tensors["n_steps"])
