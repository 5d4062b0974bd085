"""e-prop over a window: weight changes from learning signals, one product per layer.

    dL/dw_{k,ji} = sum_t delta_{i,t} (alpha_k * z_j)_t = sum_s z_{j,s} (M_k^T delta_i)_s
    dL/dw_fb,i   = sum_t delta_{i,t} (beta * z_i)_{t-1}          dL/dbias_i = sum_t delta_{i,t}

delta_{i,t} = L_{i,t} psi_{i,t}: the learning signal times the spike derivative (eq. 20 to 22; for
the readout under ``score``, delta = l (y - sigma(u)), eq. 19). Each summand is the outer product
of a postsynaptic signal and a presynaptic trace; filtering either factor gives the same sum, and
the postsynaptic one is narrower. What is left out: the path by which a spike reaches later
potentials through the neuron's own feedback response (truncation (i) of eq. 20).
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamvdib.connections import Dense, Shape
from streamvdib.encoder import Layer, LayerWeights
from streamvdib.learning.few_spikes import are_few, gradient_of_few
from streamvdib.learning.filters import apply, matrices_like
from streamvdib.learning.sequence import LayerSequence, srm_of


def backward_filtered(layer: Layer, delta: Tensor) -> Tensor:
    """M_k^T delta for each basis function, (n_basis, n_steps, n_lanes, n_neurons)."""
    matrices = matrices_like(srm_of(layer).response, delta)
    return torch.stack([apply(matrix.T, delta) for matrix in matrices])


def per_source_lane(delta: Tensor, n_source_lanes: int) -> Tensor:
    """Signals (n_steps, n_lanes, n) summed over the lanes drawn from the same sources."""
    n_steps, n_lanes, n_neurons = delta.shape
    if n_lanes == n_source_lanes:
        return delta
    return delta.view(n_steps, n_source_lanes, -1, n_neurons).sum(2)


def layer_gradient(
    layer: Layer,
    weights: LayerWeights,
    sequence: LayerSequence,
    delta: Tensor,
    filtered: Tensor,
    source_shape: Shape,
) -> LayerWeights:
    """dL/dw of a layer, summed over steps and lanes, in the form of its weights.

    Args:
        layer: constants.
        weights: current values.
        sequence: what the layer saw and did.
        delta: dL/du, (n_steps, n_lanes, n_neurons).
        filtered: ``backward_filtered`` of delta, in the sources' lanes.
        source_shape: shape of what feeds the layer.
    """
    neuron = srm_of(layer)
    n_parameters = len(weights.bias)
    bias = delta.sum((0, 1))
    feedback = torch.zeros_like(bias)
    if neuron.learns_feedback:
        (matrix,) = matrices_like(neuron.feedback, sequence.spikes, 1)
        past = apply(matrix, sequence.spikes)
        feedback = (delta * past).sum((0, 1))
    return LayerWeights(
        _synapse_gradient(layer, weights, sequence.sources, filtered, source_shape),
        _per_parameter(feedback, n_parameters),
        _per_parameter(bias, n_parameters),
    )


def source_signal(
    layer: Layer, weights: LayerWeights, sources: Tensor, filtered: Tensor, source_shape: Shape
) -> Tensor:
    """dL/dz of what feeds a layer, exactly (symmetric feedback), (n_steps, n_lanes, n_sources)."""
    if isinstance(layer.connection, Dense):
        signal = torch.zeros_like(sources)
        for synapses, part in zip(weights.synapses, filtered, strict=True):
            signal += (part.flatten(0, 1) @ synapses.T).view(sources.shape)
        return signal
    flat = sources.detach().flatten(0, 1).requires_grad_()
    with torch.enable_grad():
        current = layer.connection.current(weights.synapses, flat, source_shape)
        (signal,) = torch.autograd.grad(current, flat, _as_current(filtered))
    return signal.view(sources.shape)


def _synapse_gradient(
    layer: Layer, weights: LayerWeights, sources: Tensor, filtered: Tensor, source_shape: Shape
) -> Tensor:
    flat = sources.flatten(0, 1)
    if isinstance(layer.connection, Dense):
        if are_few(flat):
            return torch.stack([gradient_of_few(flat, part.flatten(0, 1)) for part in filtered])
        return torch.stack([flat.T @ part.flatten(0, 1) for part in filtered])
    synapses = weights.synapses.detach().requires_grad_()
    with torch.enable_grad():
        current = layer.connection.current(synapses, flat, source_shape)
        (gradient,) = torch.autograd.grad(current, synapses, _as_current(filtered))
    return gradient


def _as_current(filtered: Tensor) -> Tensor:
    """(n_basis, n_steps, n_lanes, n) as the shape of ``Connection.current``."""
    return filtered.flatten(1, 2).transpose(0, 1)


def _per_parameter(values: Tensor, n_parameters: int) -> Tensor:
    """Sums over the neurons that share a parameter."""
    return values.view(n_parameters, -1).sum(1)
