"""A few spike windows with their targets, kept from earlier: the slow reference of a guard."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends.window_layer import WindowDecoding, can_decode
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

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
        self._live: WindowDecoding | None = None  # of the frames
        self._own: WindowDecoding | None = None
        self._examples: list[tuple[Tensor, Tensor]] = []
        self._n_seen = 0

    def share(self, decoding: object) -> None:
        """Take over what the decoder of an engine's frames has worked out, if it can be used."""
        if isinstance(decoding, WindowDecoding):
            self._live = decoding

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

    def error(self, window: SpikeWindow, target: Target) -> float:
        """Mean squared error of the frame that the decoder makes of a window."""
        if self._live is not None and self._live.window is window:
            return float(np.mean((self._live() - target) ** 2, dtype=np.float64))
        return self._error(
            torch.from_numpy(np.array(window.ordered())), torch.from_numpy(np.array(target))
        )

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
        frames = self._frames(windows.numpy())
        return float(np.mean((frames - target.numpy()) ** 2, dtype=np.float64))

    def _frames(self, windows: Windows) -> Target:
        """What the decoder makes of windows, event-driven where it can be."""
        n_lanes, tau_d, n_neurons = windows.shape
        if self._own is None and can_decode(self.model):
            self._own = WindowDecoding(self.model, SpikeWindow(tau_d, n_lanes, n_neurons))
        if self._own is not None and self._own.window.ring.shape[1] == n_lanes:
            self._own.window.ring[:] = windows.transpose(1, 0, 2)
            return self._own()
        parameter = next(self.model.decoder.parameters())
        with torch.inference_mode():
            window = torch.from_numpy(windows).to(parameter.device, parameter.dtype)
            estimate = self.model.likelihood.estimate(self.model.decoder(window))
        frames: Target = estimate.float().cpu().numpy()
        return frames
