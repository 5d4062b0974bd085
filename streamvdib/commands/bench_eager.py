"""The rule of ``learning.delayed`` as plain torch, one eager call after the other: a baseline.

    U_t = s_t + w_fb own_t + b       s_t = r s_{t-1} + k (I_t - r^tau I_{t-tau})       I_t = x_t W
    W  -= eta (l_t - mean) sum over the last n_credited steps of xbar_s (x) e_s

Dense layers whose responses are one exponential each; one lane; an update at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from streamvdib.learning.feedback import feedback_name
from streamvdib.model import Model
from streamvdib.neurons.srm import SRM
from streamvdib.responses import Response

Draw = Callable[[int], Tensor]  # uniform numbers of a step, (n_readout,)


class Trace:
    """An exponential response, as a recursion. Memory: tau vectors."""

    def __init__(self, response: Response, n_sources: int, dtype: torch.dtype) -> None:
        kernel = response.kernels[0]
        self.first, self.ratio = float(kernel[0]), float(kernel[1] / kernel[0])
        self.last = self.ratio ** len(kernel)
        self.past = torch.zeros(len(kernel), n_sources, dtype=dtype)
        self.value = torch.zeros(n_sources, dtype=dtype)
        self.step = 0

    def push(self, values: Tensor) -> Tensor:
        """The response after one more step, (n_sources,); changed by the next call."""
        oldest = self.past[self.step % len(self.past)]
        change = torch.add(values, oldest, alpha=-self.last)
        self.value.mul_(self.ratio).add_(change, alpha=self.first)
        oldest.copy_(values)
        self.step += 1
        return self.value


class EagerLayer:
    """Weights, traces, and rings of e-prop's factors."""

    def __init__(self, model: Model, index: int, n_credited: int) -> None:
        weights, neuron = model.weights[index], model.encoder.layers[index].neuron
        assert isinstance(neuron, SRM)
        self.neuron = neuron
        self.synapses = weights.synapses[0].clone()
        self.feedback, self.bias = weights.feedback.clone(), weights.bias.clone()
        n_sources, n_neurons = self.synapses.shape
        dtype = self.bias.dtype
        self.sources = Trace(neuron.response, n_sources, dtype)
        self.currents = Trace(neuron.response, n_neurons, dtype)
        self.own = Trace(neuron.feedback, n_neurons, dtype)
        self.traces = torch.zeros(n_credited, n_sources, dtype=dtype)
        self.signals = torch.zeros(n_credited, n_neurons, dtype=dtype)
        self.potentials = torch.zeros(n_neurons, dtype=dtype)

    def advance(self, spikes: Tensor, draws: Tensor | None, slot: int) -> Tensor:
        """One step."""
        self.traces[slot] = self.sources.push(spikes)
        current = self.currents.push(spikes @ self.synapses)
        self.potentials = current + self.feedback * self.own.value + self.bias
        fired = self.neuron.fire(self.potentials, draws)
        self.own.push(fired)
        return fired

    def change(self, scale: float) -> None:
        """One update of rank n_credited."""
        self.synapses.addmm_(self.traces.T, self.signals, alpha=scale)
        self.bias.add_(self.signals.sum(0), alpha=scale)


class EagerEprop:
    """Steps that learn, from a decoder loss that stays the same."""

    def __init__(
        self,
        model: Model,
        feedback: dict[str, Tensor],
        draw: Draw,
        *,
        n_credited: int,
        learning_rate: float,
        beta: float,
        prior_rate: float,
        loss: float,
    ) -> None:
        n_layers = len(model.encoder.layers)
        self.layers = [EagerLayer(model, index, n_credited) for index in range(n_layers)]
        dtype = self.layers[0].bias.dtype
        self.matrices = [feedback[feedback_name(index)].to(dtype) for index in range(n_layers - 1)]
        self.draw, self.n_credited, self.learning_rate = draw, n_credited, learning_rate
        self.beta, self.loss = beta, loss
        self.logit = torch.logit(torch.tensor(prior_rate, dtype=torch.float64)).item()
        self.mean, self.n_updates, self.mean_rate = 0.0, 0, 0.01

    def __call__(self, spikes: Tensor) -> Tensor:
        """One step and its update; the readout's spikes."""
        slot = self.n_updates % self.n_credited
        for layer in self.layers[:-1]:
            spikes = layer.advance(spikes, None, slot)
        readout = self.layers[-1]
        spikes = readout.advance(spikes, self.draw(self.n_updates), slot)
        error = spikes - torch.sigmoid(readout.potentials)
        readout.signals[slot] = error
        for layer, matrix in zip(self.layers, self.matrices, strict=False):
            slope = layer.neuron.spike_derivative(layer.potentials)
            layer.signals[slot] = (error @ matrix) * slope
        scale = -self.learning_rate * self._centred(self._information(spikes, readout.potentials))
        for layer in self.layers:
            layer.change(scale)
        return spikes

    def _information(self, spikes: Tensor, potentials: Tensor) -> float:
        """Log p(y) - log q(y), nats."""
        ours = spikes * potentials - functional.softplus(potentials)
        softplus: Any = functional.softplus(torch.tensor(self.logit, dtype=torch.float64))
        prior = spikes.sum() * self.logit - len(spikes) * float(softplus)
        return float(ours.sum() - prior)

    def _centred(self, information: float) -> float:
        common = self.loss + self.beta * information
        before = self.mean if self.n_updates else common
        self.n_updates += 1
        self.mean = before + max(1 / self.n_updates, self.mean_rate) * (common - before)
        return common - before
