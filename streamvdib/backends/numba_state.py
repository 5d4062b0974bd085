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

from streamvdib.backends.compilation import Size, compiled, unsigned
from streamvdib.backends.numba_filters import rebuild
from streamvdib.backends.numba_neurons import Network, layer_filters
from streamvdib.backends.numba_plan import (
    CURRENTS,
    HARD_RESET,
    N_NEURONS,
    NEURON,
    PAST_SPIKES,
    POTENTIALS,
    Layout,
    Plan,
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
    places = _places(layout, index)
    sections = [layout.memory.view(network.memory, index, name) for name in _SECTIONS]
    currents, past_spikes, potentials = (section[..., places] for section in sections)
    past_spikes = past_spikes[:, _newest_first(step, past_spikes.shape[1])].transpose(1, 0, 2)
    spikes, potential = _tensor(past_spikes[0]), _tensor(potentials)
    if layout.plan[index, NEURON] == HARD_RESET:
        return LIFHardResetState(spikes, potential)
    currents = currents[:, _newest_first(step - 1, currents.shape[1])].transpose(1, 0, 2, 3)
    return SRMState(_tensor(currents), _tensor(past_spikes), spikes, potential)


def write_state(layout: Layout, network: Network, state: EncoderState) -> None:
    """Put a state into the memory.

    Raises:
        CheckpointError: it has other shapes; the memory is then to be filled again.
    """
    for index, layer in enumerate(state.layers):
        places = _places(layout, index)
        currents, past_spikes, potentials = (
            layout.memory.view(network.memory, index, name) for name in _SECTIONS
        )
        given = layer.membrane_potential.detach().cpu().numpy()
        if given.shape != (len(potentials), len(places)):
            raise CheckpointError(
                f"the state of layer {index} must have shape {(len(potentials), len(places))}; "
                f"got {given.shape}"
            )
        potentials[:, places] = given
        if isinstance(layer, SRMState):
            _write_ring(past_spikes, layer.past_spikes, state.step, places)
            _write_ring(currents, layer.currents, state.step - 1, places)
            for lane in range(len(potentials)):
                _rebuild(network, layout.plan[index], unsigned(lane), unsigned(state.step))
        else:
            _write_ring(past_spikes, layer.spikes[None], state.step, places)


def _write_ring(ring: Array, given: Tensor, newest: int, places: npt.NDArray[np.int64]) -> None:
    """Rows (tau, n_lanes, ...), newest first, into a ring (n_lanes, tau, ...)."""
    rows = given.detach().cpu().numpy()
    if rows.shape[:2] != (ring.shape[1], ring.shape[0]):
        raise CheckpointError(
            f"a state must hold {ring.shape[1]} steps of {ring.shape[0]} lanes; "
            f"got {rows.shape[0]} steps of {rows.shape[1]}"
        )
    filled = np.zeros_like(ring)
    filled[..., places] = rows.swapaxes(0, 1)
    ring[:, _newest_first(newest, ring.shape[1])] = filled


_SECTIONS = (CURRENTS, PAST_SPIKES, POTENTIALS)


def _newest_first(newest: int, tau: int) -> npt.NDArray[np.int64]:
    return (newest - np.arange(tau)) % tau


def _places(layout: Layout, index: int) -> npt.NDArray[np.int64]:
    """Place of every neuron in the loops' order."""
    order = layout.orders[index]
    if order is None:
        return np.arange(int(layout.plan[index, N_NEURONS]))
    return np.argsort(order)


@compiled
def _rebuild(network: Network, row: Plan, lane: Size, step: Size) -> None:
    """Sums of one lane's layer from its history."""
    response, feedback = layer_filters(row, lane)
    rebuild(step, response, network.constants, network.memory)
    rebuild(step, feedback, network.constants, network.memory)


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.array(values))  # a copy
