"""One estimate of the gradient of the VDIB loss, from a window of steps; offline and online.

    L = mean over decodes and lanes of [decoder loss] + beta * mean over lanes of [sum_t KL_t]

``pathwise``: G = dL_decoder/dy, then through the Bernoulli draw as if y = sigma(u) (straight
    through) and the KL in closed form:  delta = (G + beta dKL/dy) sigma'(u) + beta dKL/du.
``score`` (eq. 11 to 14): delta = (l - baseline) (y - sigma(u)), l = decoder loss + beta * sum_t
    log(p/q), one number per lane: the common learning signal. With the "linear" baseline the part
    of l that other samples foresee to first order is taken off, and its gradient put back exactly
    (module ``control_variate``).

Then e-prop (module ``eprop``) into the readout and, through ``feedback``, the hidden layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.encoder import Encoder, LayerWeights, Weights
from streamvdib.learning.baseline import Baseline
from streamvdib.learning.control_variate import linear_delta
from streamvdib.learning.decoder_signal import DecoderSignal
from streamvdib.learning.eprop import (
    backward_filtered,
    layer_gradient,
    per_source_lane,
    source_signal,
)
from streamvdib.learning.feedback import alignment_gradient, direct_signal, feedback_name
from streamvdib.learning.priors import cost
from streamvdib.learning.rule import Rule
from streamvdib.learning.sequence import LayerSequence

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Span:
    """Which steps of the record an update is about, as first steps; the last is the record's.

    Offline both are 0. Online the record begins earlier, for the traces, and a step's
    information cost counts in one update only.
    """

    credited: int = 0  # score: from here on spikes are credited with the common signal
    counted: int = 0  # from here on steps' information cost counts


@dataclass(frozen=True)
class Estimate:
    """Gradients by tensor name, and what they were made of."""

    gradients: Tensors  # encoder.<layer>.<name>, prior.*, feedback.*; the decoder's are apart
    decoder_loss: Tensor  # nats per decode, mean over lanes
    information: Tensor  # nats per step, mean over lanes and steps, summed over neurons
    spikes_per_step: Tensor  # of the readout, mean over lanes


OFFLINE = Span()


def readout_delta_pathwise(
    readout: LayerSequence,
    signal: DecoderSignal,
    rule: Rule,
    prior_parameters: Tensors,
    span: Span,
) -> tuple[Tensor, Tensor, Tensors]:
    """dL/du of the readout, the closed-form cost per step and lane, and the prior's gradient."""
    probability = torch.sigmoid(readout.potentials)
    slope = probability * (1 - probability)
    spikes = readout.spikes.detach().requires_grad_()
    watched = {name: value.detach().requires_grad_() for name, value in prior_parameters.items()}
    n_lanes = spikes.shape[1]
    with torch.enable_grad():
        logits = rule.prior.logits(watched, spikes)
        information = cost(probability, readout.potentials, logits)[span.counted :]
        through_spikes, prior_gradient = _prior_gradients(information, spikes, watched, n_lanes)
    delta = (readout.potentials - logits.detach()).mul_(rule.beta / n_lanes)  # closed-form KL
    delta[: span.counted] = 0.0
    delta += signal.window_gradient
    if through_spikes is not None:
        delta += rule.beta * through_spikes
    return delta.mul_(slope), information.detach().sum(2), prior_gradient


def readout_delta_score(
    readout: LayerSequence,
    signal: DecoderSignal,
    rule: Rule,
    prior_parameters: Tensors,
    span: Span,
    baseline: Baseline,
) -> tuple[Tensor, Tensor, Tensors]:
    """As ``readout_delta_pathwise``, from the common learning signal and eq. 19."""
    watched = {name: value.detach().requires_grad_() for name, value in prior_parameters.items()}
    n_lanes = readout.spikes.shape[1]
    with torch.enable_grad():
        logits = rule.prior.logits(watched, readout.spikes)
        information = cost(readout.spikes, readout.potentials, logits)[span.counted :]
        _, prior_gradient = _prior_gradients(information, None, watched, n_lanes)
    information = information.detach().sum(2)
    common = signal.losses.mean(0) + rule.beta * information.sum(0)
    probability = torch.sigmoid(readout.potentials)
    error = readout.spikes - probability
    error[: span.credited] = 0.0
    if rule.baseline == "linear":
        by_spike = n_lanes * signal.window_gradient
        surprise = readout.potentials - logits.detach()  # d log(p / q) / dy
        by_spike[span.counted :] += rule.beta * surprise[span.counted :]
        delta = linear_delta(common, by_spike, error, probability, rule.n_samples)
        return delta / n_lanes, information, prior_gradient
    centred = baseline.centred(common)
    return error * (centred / n_lanes)[None, :, None], information, prior_gradient


def _prior_gradients(
    information: Tensor, spikes: Tensor | None, watched: Tensors, n_lanes: int
) -> tuple[Tensor | None, Tensors]:
    """d(mean over lanes of the summed cost) by past spikes, if any, and by the prior's tensors."""
    wanted = ([] if spikes is None else [spikes]) + list(watched.values())
    if not wanted or not information.requires_grad:
        return None, {}
    found = torch.autograd.grad(information.sum() / n_lanes, wanted, allow_unused=True)
    if spikes is None:
        return None, dict(zip(watched, found, strict=True))
    return found[0], dict(zip(watched, found[1:], strict=True))


def encoder_gradients(
    encoder: Encoder,
    weights: Weights,
    sequences: Sequence[LayerSequence],
    delta: Tensor,
    rule: Rule,
    feedback: Tensors,
) -> Tensors:
    """e-prop from the readout's delta down to the first layer."""
    gradients: Tensors = {}
    last = len(encoder.layers) - 1
    readout_signal = delta
    for index in range(last, -1, -1):
        layer, source_shape = encoder.layers[index], encoder.source_shapes[index]
        # lanes drawn from the same sources share their traces: their signals add up
        shared = per_source_lane(delta, sequences[index].sources.shape[1])
        filtered = backward_filtered(layer, shared)
        part = layer_gradient(
            layer, weights[index], sequences[index], delta, filtered, source_shape
        )
        for name, tensor in part.tensors():
            gradients[f"encoder.{index}.{name}"] = tensor
        if index == last:
            readout_signal = filtered.sum(0) if rule.credit == "windowed" else shared
            if rule.feedback == "aligned" and last > 0:
                aligned = feedback_name(last - 1)
                gradients[aligned] = alignment_gradient(part.synapses)
        if index == 0:
            break
        if rule.feedback == "symmetric":
            if rule.credit == "instantaneous":
                filtered = shared.expand(filtered.shape)
            sources = sequences[index].sources
            learning = source_signal(layer, weights[index], sources, filtered, source_shape)
        else:
            signal = per_source_lane(readout_signal, sequences[index].sources.shape[1])
            learning = direct_signal(feedback[feedback_name(index - 1)], signal)
        below = encoder.layers[index - 1].neuron
        delta = learning * below.spike_derivative(sequences[index - 1].potentials)
    return gradients


def estimate(
    encoder: Encoder,
    weights: Weights,
    sequences: Sequence[LayerSequence],
    signal: DecoderSignal,
    rule: Rule,
    learned: Tensors,
    baseline: Baseline,
    span: Span = OFFLINE,
) -> Estimate:
    """The gradient of the VDIB loss by every tensor that the rule changes.

    Args:
        encoder: constants.
        weights: current values.
        sequences: what every layer saw and did over the window.
        signal: from the decoder, over the same window.
        rule: how to estimate.
        learned: the prior's parameters and the feedback matrices, by name.
        baseline: of ``score``; moved on by one update.
        span: the steps that this update is about.
    """
    readout = sequences[-1]
    prior_parameters = {name: t for name, t in learned.items() if name.startswith("prior.")}
    if rule.estimator == "pathwise":
        delta, information, prior_gradient = readout_delta_pathwise(
            readout, signal, rule, prior_parameters, span
        )
    else:
        delta, information, prior_gradient = readout_delta_score(
            readout, signal, rule, prior_parameters, span, baseline
        )
    gradients = encoder_gradients(encoder, weights, sequences, delta, rule, learned)
    gradients |= prior_gradient
    return Estimate(
        gradients,
        signal.losses.mean(),
        information.mean(),
        readout.spikes[span.counted :].sum(2).mean(),
    )


def named_weights(weights: Weights) -> Tensors:
    """Encoder weights by name."""
    return {
        f"encoder.{index}.{name}": tensor
        for index, layer in enumerate(weights)
        for name, tensor in layer.tensors()
    }


def weights_from(named: Tensors, n_layers: int) -> Weights:
    """The inverse of ``named_weights``."""
    return tuple(
        LayerWeights(
            named[f"encoder.{index}.synapses"],
            named[f"encoder.{index}.feedback"],
            named[f"encoder.{index}.bias"],
        )
        for index in range(n_layers)
    )
