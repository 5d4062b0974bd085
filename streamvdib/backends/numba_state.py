"""The compiled loops' memory as the reference's ``EncoderState``, and back, bit for bit.

The reference keeps the last tau_e currents and spikes, newest first. The loops keep the same in
rings, and sums of them; the sums are rebuilt by the recursion that made them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends.compilation import Floats, Integers, compiled, part
from streamvdib.backends.numba_encoder import Network, exponentials, ring, sliding
from streamvdib.backends.numba_filters import rebuild_future, rebuild_sliding
from streamvdib.backends.numba_plan import (
    CURRENTS,
    FEEDBACK_KERNELS,
    FEEDBACK_N_TERMS,
    FEEDBACK_POWERS,
    FEEDBACK_SUFFIXES,
    FEEDBACK_SUMS,
    FEEDBACK_TAU,
    FEEDBACK_TERMS,
    HARD_RESET,
    KERNELS,
    N_BASIS,
    N_NEURONS,
    N_PADDED,
    N_TERMS,
    NEURON,
    PAST_SPIKES,
    POTENTIALS,
    POWERS,
    SPIKES,
    SUFFIXES,
    SUMS,
    TAU,
    TERMS,
    Layout,
)
from streamvdib.encoder import EncoderState
from streamvdib.errors import CheckpointError
from streamvdib.neurons.lif_hard_reset import LIFHardResetState
from streamvdib.neurons.srm import SRMState

Array = npt.NDArray[Any]


def read_state(layout: Layout, network: Network, step: int) -> EncoderState:
    """A copy of the memory after ``step`` steps."""
    return EncoderState(
        step, tuple(_read_layer(layout, network, step, i) for i in range(len(layout.plan)))
    )


def _read_layer(layout: Layout, network: Network, step: int, index: int) -> Any:
    view, places = layout.memory.view, _places(layout, index)
    potential = _tensor(view(network.memory, index, POTENTIALS)[:, places], network.memory.dtype)
    current_spikes = layout.spike_memory.view(network.spike_memory, index, SPIKES)
    spikes = _tensor(current_spikes[:, places], network.memory.dtype)
    if layout.plan[index, NEURON] == HARD_RESET:
        return LIFHardResetState(spikes, potential)
    currents = view(network.memory, index, CURRENTS)
    newest_first = (step - 1 - np.arange(currents.shape[1])) % currents.shape[1]
    currents = currents[:, newest_first][..., places].transpose(1, 0, 2, 3)
    past = layout.spike_memory.view(network.spike_memory, index, PAST_SPIKES)
    newest_first = (step - 1 - np.arange(past.shape[1] - 1)) % past.shape[1]
    past = np.concatenate((current_spikes[:, None], past[:, newest_first]), axis=1)
    past = past[..., places].transpose(1, 0, 2)
    number = network.memory.dtype
    return SRMState(_tensor(currents, number), _tensor(past, number), spikes, potential)


def write_state(layout: Layout, network: Network, state: EncoderState) -> None:
    """Put a state into the memory."""
    for index, layer in enumerate(state.layers):
        places = _places(layout, index)
        spikes, potential = _array(layer.spikes), _array(layer.membrane_potential)
        target = layout.memory.view(network.memory, index, POTENTIALS)
        if potential.shape != (len(target), len(places)):
            raise CheckpointError(
                f"the state of layer {index} must have shape {(len(target), len(places))}; "
                f"got {potential.shape}"
            )
        target[:, places] = potential
        layout.spike_memory.view(network.spike_memory, index, SPIKES)[:, places] = spikes
        if isinstance(layer, SRMState):
            _write_history(layout, network, state.step, index, layer)
            for lane in range(len(target)):
                _rebuild(network, layout.plan[index], lane, state.step)


def _write_history(
    layout: Layout, network: Network, step: int, index: int, layer: SRMState
) -> None:
    places = _places(layout, index)
    currents = layout.memory.view(network.memory, index, CURRENTS)
    rows = (step - 1 - np.arange(currents.shape[1])) % currents.shape[1]
    given = _array(layer.currents).transpose(1, 0, 2, 3)
    currents[:] = 0
    for row, past in zip(rows, range(len(rows)), strict=True):
        currents[:, row, :, places] = given[:, past].transpose(2, 0, 1)
    past_spikes = layout.spike_memory.view(network.spike_memory, index, PAST_SPIKES)
    past_spikes[:] = 0
    given = _array(layer.past_spikes).transpose(1, 0, 2)
    for past in range(1, given.shape[1]):
        past_spikes[:, (step - past) % given.shape[1], places] = given[:, past]


def _places(layout: Layout, index: int) -> npt.NDArray[np.int64]:
    """Place of every neuron in the loops' order."""
    order = layout.orders[index]
    if order is None:
        return np.arange(layout.plan[index, N_NEURONS])
    return np.argsort(order)


@compiled
def _rebuild(network: Network, row: Integers, lane: int, step: int) -> None:
    """Sums of one lane's layer from its history."""
    tau, n_basis, n_terms, n_padded = row[TAU], row[N_BASIS], row[N_TERMS], row[N_PADDED]
    constants, memory = network.constants, network.memory
    size = tau * n_basis * n_padded
    begin = row[CURRENTS] + lane * size
    history = memory[begin : begin + size].reshape((tau, n_basis, n_padded))
    if n_terms:
        terms, powers = exponentials(constants, row[TERMS], row[POWERS], n_terms, tau)
        sums, suffixes = sliding(memory, row[SUMS], row[SUFFIXES], lane, n_terms, tau, n_padded)
        lags = history.reshape((tau, n_padded))
        rebuild_sliding(step, lags, terms, powers, sums, suffixes)
    else:
        kernels = constants[row[KERNELS] : row[KERNELS] + n_basis * tau].reshape((n_basis, tau))
        rebuild_future(step, history, kernels, ring(memory, row[SUFFIXES], lane, tau, n_padded))
    _rebuild_feedback(network, row, lane, step)


@part
def _rebuild_feedback(network: Network, row: Integers, lane: int, step: int) -> None:
    tau, n_terms, n_padded = row[FEEDBACK_TAU], row[FEEDBACK_N_TERMS], row[N_PADDED]
    constants, memory = network.constants, network.memory
    begin = row[PAST_SPIKES] + lane * tau * n_padded
    past = network.spike_memory[begin : begin + tau * n_padded].reshape((tau, n_padded))
    if n_terms:
        terms, powers = exponentials(
            constants, row[FEEDBACK_TERMS], row[FEEDBACK_POWERS], n_terms, tau
        )
        sums, suffixes = sliding(
            memory, row[FEEDBACK_SUMS], row[FEEDBACK_SUFFIXES], lane, n_terms, tau, n_padded
        )
        rebuild_sliding(step, past, terms, powers, sums, suffixes)
    else:
        kernel = constants[row[FEEDBACK_KERNELS] : row[FEEDBACK_KERNELS] + tau].reshape((1, tau))
        rebuild_future(
            step,
            past.reshape((tau, 1, n_padded)),
            kernel,
            ring(memory, row[FEEDBACK_SUFFIXES], lane, tau, n_padded),
        )


def _tensor(values: Array, number: npt.DTypeLike) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=number))


def _array(values: Tensor) -> Floats:
    return values.detach().cpu().numpy()
