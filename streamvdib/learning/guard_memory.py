"""A few spike windows with their targets, kept from earlier: the slow reference of a guard."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.model import Model

Windows = npt.NDArray[np.uint8]
Target = npt.NDArray[np.float32]


class Memory:
    """A ring of examples, and the decoder's mean squared error on them.

    Memory: ``capacity`` windows and targets of all lanes.

    Args:
        model: whose decoder is tested.
        capacity: examples; 0 keeps none.
    """

    def __init__(self, model: Model, capacity: int) -> None:
        self.model, self.capacity = model, capacity
        self._examples: list[tuple[Tensor, Tensor]] = []
        self._n_seen = 0

    def remember(self, windows: Windows, target: Target) -> None:
        """Add an example; the oldest makes room.

        Args:
            windows: (n_lanes, tau_d, n_neurons).
            target: (n_lanes, *output_shape) or one for all lanes.
        """
        if self.capacity == 0:
            return
        example = (torch.from_numpy(np.array(windows)), torch.from_numpy(np.array(target)))
        if len(self._examples) < self.capacity:
            self._examples.append(example)
        else:
            self._examples[self._n_seen % self.capacity] = example
        self._n_seen += 1

    def error(self, windows: Windows, target: Target) -> float:
        """Mean squared error of the frame that the decoder makes of these windows."""
        return self._error(torch.from_numpy(np.array(windows)), torch.from_numpy(np.array(target)))

    def mean_error(self) -> float:
        """Mean over the examples; nan where there is none."""
        if not self._examples:
            return math.nan
        return sum(self._error(*example) for example in self._examples) / len(self._examples)

    def tensors(self) -> Mapping[str, Tensor]:
        """The examples, by name."""
        named = {"n_seen": torch.tensor(self._n_seen)}
        for index, (windows, target) in enumerate(self._examples):
            named |= {f"{index}.windows": windows, f"{index}.target": target}
        return named

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave; ``KeyError`` where a part is missing."""
        n_seen = int(tensors["n_seen"])
        n_held = min(n_seen, self.capacity)
        self._examples = [
            (tensors[f"{index}.windows"], tensors[f"{index}.target"]) for index in range(n_held)
        ]
        self._n_seen = n_seen

    def _error(self, windows: Tensor, target: Tensor) -> float:
        model = self.model
        parameter = next(model.decoder.parameters())
        with torch.inference_mode():
            window = windows.to(parameter.device, parameter.dtype)
            estimate = model.likelihood.estimate(model.decoder(window)).float().cpu()
            return float(torch.mean((estimate - target.float()) ** 2))
