"""The encoder over whole sequences: the same spikes as ``Encoder.step``, vectorised over time.

    I = x W (all steps in one product),   alpha * I by one banded matrix per basis function,
    then step by step only what depends on the neuron's own last spikes:
    u_t = (alpha * I)_t + w_fb (beta * z)_{t-1} + bias                                 (eq. 15)

Every sequence begins from silence, as after ``Encoder.initial_state``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.connections import Dense
from streamvdib.encoder import Encoder, Layer, LayerWeights, Weights, layer_parameters
from streamvdib.errors import ConfigurationError
from streamvdib.learning.fast_draws import draws
from streamvdib.learning.few_spikes import are_few, current_of_few
from streamvdib.learning.filters import apply, matrices_like
from streamvdib.neurons.neuron import NeuronParameters
from streamvdib.neurons.srm import SRM


@dataclass(frozen=True)
class LayerSequence:
    """What a layer saw and did: the factors of its eligibility traces (eq. 19, 22).

    Memory: n_steps * n_lanes * (n_sources + 2 n_neurons) numbers.
    """

    sources: Tensor  # z_j of what feeds it, 0 or 1, (n_steps, n_lanes, n_sources), or one lane
    # for several of the layer's own that are drawn from the same sources
    spikes: Tensor  # z, 0 or 1, (n_steps, n_lanes, n_neurons)
    potentials: Tensor  # u, relative to the threshold, (n_steps, n_lanes, n_neurons)


def srm_of(layer: Layer) -> SRM:
    """The neuron model of a layer, which must be the SRM for these learning rules."""
    if not isinstance(layer.neuron, SRM):
        raise ConfigurationError(
            "VDIB learning requires layers of kind 'srm'; got "
            f"{type(layer.neuron).__name__}. Train other neurons with their own rule."
        )
    return layer.neuron


def run_sequence(
    encoder: Encoder, weights: Weights, inputs: Tensor, keys: Tensor, first_step: int = 0
) -> tuple[LayerSequence, ...]:
    """Run sequences from silence.

    Where there are more keys than sequences, each sequence is drawn from several times, in lanes
    side by side; what comes before the first stochastic layer is the same in all of them and is
    computed once.

    Args:
        encoder: constants.
        weights: one entry per layer.
        inputs: x, 0 or 1 in the type to compute in, (n_steps, n_sequences, n_inputs).
        keys: of the lanes' draws, (n_lanes,), a multiple of the sequences.
        first_step: number of the first step, for the draws.

    Returns:
        One entry per layer, the readout last.
    """
    sequences: list[LayerSequence] = []
    sources = inputs
    for index, layer in enumerate(encoder.layers):
        shape = encoder.layer_shapes[index]
        drive = synaptic_drive(layer, weights[index], sources, encoder.source_shapes[index])
        uniform = None
        if srm_of(layer).stochastic:
            drive = drive.repeat_interleave(len(keys) // drive.shape[1], 1)
            uniform = draws(keys, first_step, len(inputs), math.prod(shape)).to(drive.device)
        parameters = layer_parameters(weights[index], shape)
        spikes, potentials = fire_sequence(srm_of(layer), drive, parameters, uniform)
        sequences.append(LayerSequence(sources, spikes, potentials))
        sources = spikes
    return tuple(sequences)


def synaptic_drive(
    layer: Layer, weights: LayerWeights, sources: Tensor, source_shape: tuple[int, ...]
) -> Tensor:
    """Sum over basis functions of (alpha_k * W_k z), (n_steps, n_lanes, n_neurons)."""
    matrices = matrices_like(srm_of(layer).response, sources)
    flat = sources.flatten(0, 1)
    drive: Tensor | None = None
    few = isinstance(layer.connection, Dense) and are_few(flat)
    for basis, matrix in enumerate(matrices):
        synapses = weights.synapses[basis : basis + 1]
        if few:
            current = current_of_few(flat, synapses[0])
        else:
            current = layer.connection.current(synapses, flat, source_shape)
        filtered = apply(matrix, current.reshape(*sources.shape[:2], -1))
        drive = filtered if drive is None else drive.add_(filtered)
    assert drive is not None
    return drive


def fire_sequence(
    neuron: SRM, drive: Tensor, parameters: NeuronParameters, uniform: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Spikes and potentials, step by step because of the neuron's own feedback (eq. 15 to 17)."""
    kernel = torch.tensor(neuron.feedback.kernels[0], dtype=drive.dtype, device=drive.device)
    oldest_first = kernel.flip(0)
    memory = len(kernel)
    potentials = drive + parameters.bias
    spikes = torch.zeros_like(potentials)
    for step in range(len(drive)):
        start = max(0, step - memory)
        if start < step:
            past = spikes[start:step].flatten(1)
            trace = (oldest_first[memory - (step - start) :] @ past).view(drive.shape[1:])
            potentials[step].addcmul_(parameters.feedback, trace)
        spikes[step] = neuron.fire(potentials[step], None if uniform is None else uniform[step])
    return spikes, potentials
