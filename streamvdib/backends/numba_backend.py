"""The default backend on a CPU: the encoder as compiled, event-driven loops.

Same draws and same spikes as the torch reference; in float64 potentials agree to 1e-12, in float32
to 1e-4 of the largest. Memory: that of the reference's ``EncoderState``, twice (the responses of
what came are kept summed up as well), and scratch of at most 2^18 spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace, SpikeArray
from streamvdib.backends.numba_encoder import OK, advance
from streamvdib.backends.numba_neurons import Network, Scratch, Watched
from streamvdib.backends.numba_plan import Layout, supports
from streamvdib.backends.numba_spikes import ROOM
from streamvdib.backends.numba_state import read_state, write_state
from streamvdib.encoder import Encoder, EncoderState, Weights
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps
from streamvdib.randomness import lane_keys

__all__ = ["NumbaBackend", "supports"]

SCRATCH_SPIKES = 1 << 18
NUMBER_TYPES: dict[torch.dtype, npt.DTypeLike] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


class NumbaBackend:
    """Runs compiled loops on one thread, without holding Python's lock."""

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        *,
        n_lanes: int,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not supports(encoder):
            raise ConfigurationError(
                "the numba backend requires dense or convolutional layers of SRM or LIF neurons; "
                "got another kind. Use the torch backend."
            )
        if dtype not in NUMBER_TYPES:
            raise ConfigurationError(
                f"the numba backend computes in torch.float32 or torch.float64; got {dtype}"
            )
        self.encoder, self.n_lanes, self.dtype = encoder, n_lanes, dtype
        number = NUMBER_TYPES[dtype]
        self.layout = Layout(encoder, n_lanes, number)
        self.step = 0
        self.network = Network(
            self.layout.plan,
            self.layout.flat_orders,
            self.layout.empty_constants(number),
            self.layout.empty_memory(number),
            _unsigned(lane_keys(seed, n_lanes)),
        )
        self._scratch = _scratch(self.layout, number)
        n_rows = self._scratch.starts.shape[1]
        n_words = -(-self.layout.n_padded // 64)
        self._raster = np.zeros(n_rows * n_words * 8, np.uint8)
        self._fixed = (*self.network, *self._scratch, self._raster)
        self._unwatched = Watched(np.zeros(0, np.uint8), np.zeros(0, number))
        self._n_outputs = encoder.n_outputs
        self.set_weights(weights)
        self.restore(encoder.initial_state(n_lanes, dtype=dtype))

    def advance(self, inputs: InputSteps) -> SpikeArray:
        """See ``Backend``."""
        return self._advance(inputs, self._unwatched)

    def watch(self, inputs: InputSteps) -> EncoderTrace:
        """See ``Backend``."""
        n_rows = inputs.n_steps * self.n_lanes
        sizes = [int(np.prod(shape)) for shape in self.encoder.layer_shapes]
        spikes = np.empty(n_rows * sum(sizes), np.uint8)
        potentials = np.empty(n_rows * sum(sizes), self.network.memory.dtype)
        self._advance(inputs, Watched(spikes, potentials))
        return EncoderTrace(
            inputs,
            by_layer(spikes, inputs.n_steps, self.n_lanes, sizes),
            by_layer(potentials, inputs.n_steps, self.n_lanes, sizes),
        )

    def _advance(self, inputs: InputSteps, watched: Watched) -> SpikeArray:
        offsets = inputs.offsets
        n_steps = (len(offsets) - 1) // self.n_lanes
        result = np.empty((n_steps, self.n_lanes, self._n_outputs), np.uint8)
        code = advance(*self._fixed, self.step, offsets, inputs.indices, result, *watched)
        if code != OK:
            raise ConfigurationError(
                f"active inputs must lie in 0 to {self.encoder.n_inputs - 1}; "
                f"got {inputs.indices.min()} to {inputs.indices.max()}"
            )
        self.step += n_steps
        return result

    def state(self) -> EncoderState:
        """See ``Backend``."""
        return read_state(self.layout, self.network, self.step)

    def restore(self, state: EncoderState) -> None:
        """See ``Backend``."""
        self.step = state.step
        write_state(self.layout, self.network, state)

    def set_weights(self, weights: Weights) -> None:
        """See ``Backend``."""
        self.encoder.check_weights(weights)
        self.layout.fill_weights(self.network.constants, weights)


def by_layer(
    values: npt.NDArray[Any], n_steps: int, n_lanes: int, sizes: Sequence[int]
) -> tuple[npt.NDArray[Any], ...]:
    """What the loops wrote layer after layer, as an array (n_steps, n_lanes, size) of each."""
    layers, start = [], 0
    for size in sizes:
        end = start + n_steps * n_lanes * size
        layers.append(values[start:end].reshape(n_steps, n_lanes, size))
        start = end
    return tuple(layers)


def _scratch(layout: Layout, number: npt.DTypeLike) -> Scratch:
    widest = layout.n_padded
    n_rows = max(1, SCRATCH_SPIKES // widest)
    n_sides = min(2, len(layout.plan))
    return Scratch(
        np.zeros(widest, number),
        np.zeros((n_sides, n_rows), np.int64),
        np.zeros((n_sides, n_rows), np.int64),
        np.zeros((n_sides, n_rows * widest + ROOM), np.int32),
    )


def _unsigned(keys: Tensor) -> npt.NDArray[np.uint64]:
    return keys.numpy().view(np.uint64)
