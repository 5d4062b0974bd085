"""Where everything of an encoder lies in the flat arrays that the compiled loops are given.

One kernel then serves every network: its types do not depend on the number of layers, so it is
compiled once per number type, and a call passes a dozen arrays whatever the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streamvdib.backends.compilation import Floats, aligned_zeros, padded
from streamvdib.backends.numba_narrow import BYTES, write_narrow
from streamvdib.connections import Convolution, Dense, Shape, spread
from streamvdib.encoder import Encoder, Layer, Weights
from streamvdib.neurons.lif_hard_reset import LIFHardReset
from streamvdib.neurons.srm import SRM
from streamvdib.responses import Response

Plan = npt.NDArray[np.uint64]  # (n_layers, N_FIELDS)

# Columns of the plan: sizes and choices, then where arrays begin (number of the first element).
(
    N_NEURONS,
    N_PADDED,
    N_BASIS,
    N_INPUTS,
    CONNECTION,  # DENSE, CONVOLUTION, or a dense one's rows of fewer bits
    NEURON,  # DETERMINISTIC, STOCHASTIC or HARD_RESET
    TAU,  # response, steps
    N_TERMS,  # exponentials of the response, 0 where it is only known as numbers
    FEEDBACK_TAU,
    FEEDBACK_N_TERMS,
    WEIGHTS,  # in the constants: (n_inputs, n_basis, n_padded), or kernels of a convolution
    BIAS,  # (n_padded,)
    FEEDBACK_WEIGHTS,  # (n_padded,)
    KERNELS,  # (n_basis, tau)
    TERMS,  # (n_terms, 2)
    POWERS,  # (n_terms, tau + 1)
    FEEDBACK_KERNELS,  # (1, feedback tau), or decay and threshold of a neuron with hard reset
    FEEDBACK_TERMS,
    FEEDBACK_POWERS,
    CURRENTS,  # in the memory: (n_lanes, tau, n_basis, n_padded), step t in row t % tau
    SUMS,  # (n_lanes, n_terms, n_padded)
    SUFFIXES,  # (n_lanes, n_terms, tau, n_padded), or future potentials (n_lanes, tau, n_padded)
    PAST_SPIKES,  # (n_lanes, feedback tau, n_padded), spikes of step t in row (t + 1) % tau
    FEEDBACK_SUMS,
    FEEDBACK_SUFFIXES,
    POTENTIALS,  # (n_lanes, n_padded)
    ORDER,  # of a convolution, in the orders: the neurons' numbers for others, (n_neurons,)
    SCALES,  # of weights in int8: (n_basis, n_padded)
    GEOMETRY,  # nine columns, see ``numba_convolution``
) = range(29)
N_FIELDS = GEOMETRY + 9

DENSE, CONVOLUTION, DENSE_BF16, DENSE_INT8 = range(4)
NARROW = {"bf16": DENSE_BF16, "int8": DENSE_INT8}
DETERMINISTIC, STOCHASTIC, HARD_RESET = range(3)
SILENT_BIAS = -1e30  # of neurons that only fill up a vector


def supports(encoder: Encoder) -> bool:
    """Whether the compiled loops know every layer."""
    return all(
        isinstance(layer.connection, (Dense, Convolution))
        and isinstance(layer.neuron, (SRM, LIFHardReset))
        for layer in encoder.layers
    )


@dataclass
class Sections:
    """Sections of a flat array, each beginning at a multiple of 64 elements."""

    n_elements: int = 0
    shapes: dict[tuple[int, int], tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def add(self, layer: int, name: int, *shape: int) -> int:
        """Reserve a section for one layer's array; where it begins."""
        start = self.n_elements
        self.shapes[layer, name] = (start, shape)
        self.n_elements += -(-math.prod(shape) // 64) * 64
        return start

    def view(self, flat: npt.NDArray[np.generic], layer: int, name: int) -> npt.NDArray[np.generic]:
        """The section as an array of its own shape."""
        start, shape = self.shapes[layer, name]
        return flat[start : start + math.prod(shape)].reshape(shape)


class Layout:
    """The plan of an encoder for a number of lanes, and the order of its neurons."""

    def __init__(self, encoder: Encoder, n_lanes: int, dtype: npt.DTypeLike = np.float32) -> None:
        self.encoder = encoder
        # Weights of fewer bits share the place of a float32.
        self._narrow = NARROW.get(encoder.weight_type) if dtype is np.float32 else None
        self.constants, self.memory = Sections(), Sections()
        self.orders = [
            channels_last(shape) if isinstance(layer.connection, Convolution) else None
            for layer, shape in zip(encoder.layers, encoder.layer_shapes, strict=True)
        ]
        self.plan: Plan = np.zeros((len(encoder.layers), N_FIELDS), dtype=np.uint64)
        self.flat_orders = np.zeros(0, dtype=np.int32)
        for index, layer in enumerate(encoder.layers):
            self._plan_sizes(index, layer)
            self._plan_constants(index)
            self._plan_memory(index, n_lanes)

    @property
    def n_padded(self) -> int:
        """Neurons of the widest layer."""
        return int(self.plan[:, N_PADDED].max())

    def _plan_sizes(self, index: int, layer: Layer) -> None:
        row, source = self.plan[index], self.encoder.source_shapes[index]
        n_neurons = math.prod(self.encoder.layer_shapes[index])
        row[N_NEURONS], row[N_PADDED] = n_neurons, padded(n_neurons)
        row[N_INPUTS], row[N_BASIS] = math.prod(source), layer.neuron.response.n_basis
        row[TAU], row[N_TERMS] = _memory_of(layer.neuron.response)
        if isinstance(layer.neuron, SRM):
            row[NEURON] = STOCHASTIC if layer.neuron.stochastic else DETERMINISTIC
            row[FEEDBACK_TAU], row[FEEDBACK_N_TERMS] = _memory_of(layer.neuron.feedback)
        else:
            row[NEURON], row[FEEDBACK_TAU] = HARD_RESET, 1
        order = self.orders[index]
        if order is not None:
            row[CONNECTION], row[ORDER] = CONVOLUTION, len(self.flat_orders)
            self.flat_orders = np.concatenate((self.flat_orders, order))
            row[GEOMETRY:] = self._geometry(index, layer)
        elif self._narrow is not None:
            row[CONNECTION] = self._narrow

    def _geometry(self, index: int, layer: Layer) -> list[int]:
        connection = layer.connection
        assert isinstance(connection, Convolution)
        source, target = self.encoder.source_shapes[index], self.encoder.layer_shapes[index]
        is_permuted = index > 0 and self.orders[index - 1] is not None
        sizes = [connection.kernel, connection.stride, connection.padding]
        return [*source, int(is_permuted), *sizes, *target[1:]]

    def _plan_constants(self, index: int) -> None:
        row, add = self.plan[index], self.constants.add
        n_padded, n_basis = int(row[N_PADDED]), int(row[N_BASIS])
        if row[CONNECTION] == DENSE:
            row[WEIGHTS] = add(index, WEIGHTS, int(row[N_INPUTS]), n_basis, n_padded)
        elif row[CONNECTION] != CONVOLUTION:
            n_numbers = n_padded * BYTES[self.encoder.weight_type] // 4
            row[WEIGHTS] = add(index, WEIGHTS, int(row[N_INPUTS]), n_basis, n_numbers)
            row[SCALES] = add(index, SCALES, n_basis, n_padded)
        else:
            channels = self.encoder.layer_shapes[index][0]
            n_rows = int(row[GEOMETRY] * row[GEOMETRY + 4] ** 2)
            row[WEIGHTS] = add(index, WEIGHTS, n_rows, n_basis, channels)
        row[BIAS] = add(index, BIAS, n_padded)
        row[FEEDBACK_WEIGHTS] = add(index, FEEDBACK_WEIGHTS, n_padded)
        for first, tau, terms, rows in (
            (KERNELS, TAU, N_TERMS, n_basis),
            (FEEDBACK_KERNELS, FEEDBACK_TAU, FEEDBACK_N_TERMS, 1),
        ):
            row[first] = add(index, first, rows, int(row[tau]))
            row[first + 1] = add(index, first + 1, int(row[terms]), 2)
            row[first + 2] = add(index, first + 2, int(row[terms]), int(row[tau]) + 1)

    def _plan_memory(self, index: int, n_lanes: int) -> None:
        row, add = self.plan[index], self.memory.add
        n_padded, tau, n_terms = int(row[N_PADDED]), int(row[TAU]), int(row[N_TERMS])
        row[CURRENTS] = add(index, CURRENTS, n_lanes, tau, int(row[N_BASIS]), n_padded)
        row[SUMS] = add(index, SUMS, n_lanes, n_terms, n_padded)
        row[SUFFIXES] = add(index, SUFFIXES, n_lanes, max(n_terms, 1), tau, n_padded)
        tau, n_terms = int(row[FEEDBACK_TAU]), int(row[FEEDBACK_N_TERMS])
        row[PAST_SPIKES] = add(index, PAST_SPIKES, n_lanes, tau, n_padded)
        row[FEEDBACK_SUMS] = add(index, FEEDBACK_SUMS, n_lanes, n_terms, n_padded)
        row[FEEDBACK_SUFFIXES] = add(
            index, FEEDBACK_SUFFIXES, n_lanes, max(n_terms, 1), tau, n_padded
        )
        row[POTENTIALS] = add(index, POTENTIALS, n_lanes, n_padded)

    def empty_constants(self, dtype: npt.DTypeLike) -> Floats:
        """The constants with responses filled in and weights at zero."""
        flat = aligned_zeros(self.constants.n_elements, dtype)
        for index, layer in enumerate(self.encoder.layers):
            if isinstance(layer.neuron, LIFHardReset):
                values = [layer.neuron.decay, layer.neuron.threshold]
                start = int(self.plan[index, FEEDBACK_KERNELS])
                flat[start : start + 2] = values  # sections are 64 elements long at least
                continue
            assert isinstance(layer.neuron, SRM)
            self._fill_response(flat, index, KERNELS, layer.neuron.response)
            self._fill_response(flat, index, FEEDBACK_KERNELS, layer.neuron.feedback)
        return flat

    def _fill_response(self, flat: Floats, index: int, first: int, response: Response) -> None:
        view = self.constants.view
        view(flat, index, first)[:] = np.asarray(response.kernels)
        if response.exponentials:
            terms = np.asarray(response.exponentials)
            powers = terms[:, 1:] ** np.arange(response.tau_e + 1)
            powers[powers < np.finfo(flat.dtype).tiny] = 0  # slow to compute with, and no loss
            view(flat, index, first + 1)[:] = terms
            view(flat, index, first + 2)[:] = powers

    def fill_weights(self, flat: Floats, weights: Weights) -> None:
        """Copy weights into the constants."""
        for index, (layer, given) in enumerate(zip(self.encoder.layers, weights, strict=True)):
            synapses = given.synapses.detach().cpu().numpy()
            target = self.constants.view(flat, index, WEIGHTS)
            n_neurons, order = int(self.plan[index, N_NEURONS]), self.orders[index]
            if isinstance(layer.connection, Convolution):
                target[:] = synapses.transpose(2, 3, 4, 0, 1).reshape(target.shape)
            else:
                rows = self.orders[index - 1] if index else None
                chosen = synapses if rows is None else synapses[:, rows]
                if self._narrow is None:
                    target[:, :, :n_neurons] = chosen.transpose(1, 0, 2)
                else:
                    scales = self.constants.view(flat, index, SCALES)
                    write_narrow(target, scales, chosen, self.encoder.weight_type)
            shape = self.encoder.layer_shapes[index]
            for name, tensor, silent in (
                (BIAS, given.bias, SILENT_BIAS),
                (FEEDBACK_WEIGHTS, given.feedback, 0.0),
            ):
                values = spread(tensor.detach().cpu(), shape).numpy()
                row = self.constants.view(flat, index, name)
                row[:n_neurons] = values if order is None else values[order]
                row[n_neurons:] = silent

    def empty_memory(self, dtype: npt.DTypeLike) -> Floats:
        """The memory before step 0."""
        return aligned_zeros(self.memory.n_elements, dtype)


def channels_last(shape: Shape) -> npt.NDArray[np.int32]:
    """Numbers of the neurons (channel, y, x) in the order (y, x, channel)."""
    numbers = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    return np.ascontiguousarray(numbers.transpose(1, 2, 0)).ravel()


def _memory_of(response: Response) -> tuple[int, int]:
    return response.tau_e, len(response.exponentials)
