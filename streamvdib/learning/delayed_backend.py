"""The engine's compiled loops, learning in them; and the way back to before an update.

Weights that wait as factors can be taken back: dropping a factor is exact, while taking a written
one off again would leave rounding behind. So while updates are on trial none is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.backends import EncoderTrace, SpikeArray
from streamvdib.backends.factor_rings import FactorRings
from streamvdib.backends.numba_backend import NumbaBackend, by_layer
from streamvdib.backends.numba_eprop import advance_learning, update, write_all, write_complete
from streamvdib.backends.numba_plan import BIAS, FEEDBACK_WEIGHTS, WEIGHTS
from streamvdib.backends.numba_updates import (
    DIVERGED,
    EVERY_STEP,
    HAS_LOSS,
    HOLDS,
    N_MEAN,
    N_SEEN,
    N_UPDATES,
    WAITS,
)
from streamvdib.encoder import EncoderState, LayerWeights, Weights
from streamvdib.engine import Engine
from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps

Floats = npt.NDArray[Any]


class DelayedBackend:
    """A ``Backend`` that learns while it is watched.

    ``advance`` is inference, for a learner that is paused: what is pending is written first.
    Memory: ``FactorRings``.
    """

    def __init__(self, engine: Engine, rings: FactorRings) -> None:
        inner = engine.backend
        assert isinstance(inner, NumbaBackend)
        self.engine, self.inner, self.rings = engine, inner, rings
        self._sizes = [math.prod(shape) for shape in inner.encoder.layer_shapes]
        self.live = live_weights(inner)
        self.set_weights(engine.model.weights)
        self._at_once = [t.numpy() for w in self.live for t in (w.bias, w.feedback)]
        starts = np.cumsum([0] + [len(own) for own in self._at_once])
        self._kept = [
            rings.marked_parameters[start : start + len(own)]
            for start, own in zip(starts, self._at_once, strict=False)
        ]
        self.mark()

    def advance(self, inputs: InputSteps) -> SpikeArray:
        """See ``Backend``."""
        self.settle()
        return self.inner.advance(inputs)

    def watch(self, inputs: InputSteps) -> EncoderTrace:
        """See ``Backend``; learns from every step.

        Raises:
            ConfigurationError: an input does not exist, or updates on trial would not fit.
        """
        inner, rings, n_steps = self.inner, self.rings, inputs.n_steps
        if rings.counts[HOLDS] and n_steps > rings.n_held:
            raise ConfigurationError(
                f"updates on trial must be judged after at most {rings.n_held} steps; "
                f"got {n_steps} at once"
            )
        sizes, indices = self._sizes, inputs.indices
        unsigned = indices.view(np.dtype(f"u{indices.itemsize}"))  # one below 0 is very large
        if len(indices) and not np.maximum.reduce(unsigned) < inner.encoder.n_inputs:
            raise ConfigurationError(
                f"active inputs must lie in 0 to {inner.encoder.n_inputs - 1}; "
                f"got {indices.min()} to {indices.max()}"
            )
        spikes = np.empty(n_steps * sum(sizes), np.uint8)
        potentials = np.empty(n_steps * sum(sizes), inner.network.memory.dtype)
        arguments: tuple[Any, ...] = (
            *inner.network, *inner._scratch, *rings.factors, rings.products, rings.costs,
            rings.numbers, rings.counts, np.uint64(inner.step), inputs.offsets, inputs.indices,
            spikes, potentials,
        )  # fmt: skip
        advance_learning(*arguments)
        inner.step += n_steps
        return EncoderTrace(
            inputs, by_layer(spikes, n_steps, 1, sizes), by_layer(potentials, n_steps, 1, sizes)
        )

    def update(self) -> None:
        """Make the update that waits for the loss."""
        rings = self.rings
        self._call(update, rings.products, rings.costs, rings.numbers, rings.counts)

    def settle(self) -> None:
        """Bring the weights up to date, and begin anew with empty rings."""
        if self.rings.counts[N_SEEN]:
            if self.rings.counts[EVERY_STEP]:
                self.update()
            self._call(write_all, self.rings.counts)
            self.mark()

    def _call(self, function: Callable[..., None], *more: Floats) -> None:
        """A compiled function over network and factors."""
        function(*self.inner.network, *self.rings.factors, *more)

    def mark(self) -> None:
        """Make this what ``take_back`` goes back to; what need not wait any longer is written."""
        rings = self.rings
        self._call(write_complete, rings.counts)
        rings.marked_coefficients[:] = rings.coefficients
        rings.marked_numbers[:], rings.marked_counts[:] = rings.numbers, rings.counts
        for kept, own in zip(self._kept, self._at_once, strict=True):
            kept[:] = own

    def change(self) -> float:
        """Of the encoder's weights since the mark: at most this, by the triangle inequality."""
        rings = self.rings
        changes = np.abs(rings.coefficients - rings.marked_coefficients)
        return float(changes @ np.sqrt(rings.norms[-1]))

    def take_back(self) -> None:
        """Go back to the weights of the mark, bit for bit, and learn no more from this loss.

        What was seen since stays: later updates may credit it.
        """
        rings = self.rings
        rings.coefficients[:] = rings.marked_coefficients
        rings.numbers[:] = rings.marked_numbers
        rings.counts[[N_UPDATES, N_MEAN]] = rings.marked_counts[[N_UPDATES, N_MEAN]]
        rings.counts[[HAS_LOSS, WAITS, DIVERGED]] = 0
        for kept, own in zip(self._kept, self._at_once, strict=True):
            own[:] = kept
        self.mark()

    def state(self) -> EncoderState:
        """See ``Backend``."""
        return self.inner.state()

    def restore(self, state: EncoderState) -> None:
        """See ``Backend``."""
        self.inner.restore(state)

    def set_weights(self, weights: Weights) -> None:
        """See ``Backend``; the engine's model shows the weights in use from then on."""
        if weights is not self.live:
            self.inner.set_weights(weights)
            self.engine.model = self.engine.model.with_weights(self.live)


def live_weights(backend: NumbaBackend) -> Weights:
    """The weights that the compiled loops use, as tensors over their own memory."""
    layout, constants = backend.layout, backend.network.constants
    weights = []
    for index, shape in enumerate(backend.encoder.layer_shapes):
        n_neurons = math.prod(shape)
        synapses, bias, feedback = (
            layout.constants.view(constants, index, name)[..., :n_neurons]
            for name in (WEIGHTS, BIAS, FEEDBACK_WEIGHTS)
        )
        weights.append(
            LayerWeights(
                torch.from_numpy(synapses.transpose(1, 0, 2)),
                torch.from_numpy(feedback),
                torch.from_numpy(bias),
            )
        )
    return tuple(weights)
