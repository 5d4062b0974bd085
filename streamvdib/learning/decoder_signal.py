"""The decoder's side of the loss: its log-loss, and its gradient for each entry of the windows.

    l_t = -log q(r_t | y_{t-tau_d+1} .. y_t)   (eq. 7, 10)      G_s = sum_t dl_t / dy_s

Steps before the first are silent, as in a fresh ``SpikeWindow``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamvdib.likelihoods import Likelihood


@dataclass(frozen=True)
class DecoderSignal:
    """What a set of decodings costs, and where that comes from."""

    losses: Tensor  # nats, (n_decodes, n_lanes)
    window_gradient: Tensor  # dL/dy for L the mean loss over decodes and lanes, like the spikes
    gradients: dict[str, Tensor]  # of the same L, by decoder parameter


def windows_at(spikes: Tensor, steps: Sequence[int], tau_d: int) -> Tensor:
    """The windows that end with the given steps, (n_decodes * n_lanes, tau_d, n_neurons)."""
    if len(steps) == 1 and steps[0] + 1 >= tau_d:  # a view instead of copies and their gradients
        return spikes[steps[0] + 1 - tau_d : steps[0] + 1].transpose(0, 1)
    padded = functional.pad(spikes, (0, 0, 0, 0, tau_d - 1, 0))
    ends = torch.tensor(list(steps), device=spikes.device)
    rows = (ends[:, None] + torch.arange(tau_d, device=spikes.device)).flatten()
    windows = padded.index_select(0, rows).view(len(ends), tau_d, *padded.shape[1:])
    return windows.transpose(1, 2).flatten(0, 1)


def decoder_signal(
    decoder: nn.Module,
    likelihood: Likelihood,
    spikes: Tensor,
    targets: Tensor,
    steps: Sequence[int],
    tau_d: int,
) -> DecoderSignal:
    """Decode at some steps and differentiate.

    Args:
        decoder: its parameters are read, not changed.
        likelihood: of the target given the decoder's output.
        spikes: y, (n_steps, n_lanes, n_neurons).
        targets: r, (n_decodes, n_lanes, *output_shape).
        steps: the last steps of the windows, from 0, (n_decodes,).
        tau_d: length of the window.
    """
    watched = spikes.detach().requires_grad_()
    parameters = dict(decoder.named_parameters())
    windows = windows_at(watched, steps, tau_d)
    losses = likelihood.log_loss(decoder(windows), targets.flatten(0, 1))
    gradients = torch.autograd.grad(losses.mean(), [watched, *parameters.values()])
    return DecoderSignal(
        losses.detach().view(targets.shape[:2]),
        gradients[0],
        dict(zip(parameters, gradients[1:], strict=True)),
    )
