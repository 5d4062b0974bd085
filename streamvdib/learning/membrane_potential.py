"""Learning on the membrane potential of the readout, at every time step.

    E = mask (V_th x* - V),  mask = x* XOR A,  L = |E|^2 / 2        (eq 5 to 8, target spikes x*)
    dL/dV = -E                                                      (eq 9)
    dL/dV^(l-1) = (W^(l)' dL/dV^(l)) dA/dV^(l-1)                    (eq 13, 14, 17)
    dL/dW^(l) = sum over lanes of dL/dV^(l) tr^(l),  tr as in ``membrane_trace``   (eq 11, 17)

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation", 2018. The potential
is that before the reset: after it, a neuron that spiked without cause would have no error. The
loss is printed there as -|E|^2; its derivative (eq 9) is that of +|E|^2 / 2. The error of step t
goes back through the layers of step t only; the past enters through the traces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.connections import Dense
from streamvdib.encoder import Encoder, LayerWeights, Weights
from streamvdib.errors import CheckpointError, ConfigurationError, TargetError
from streamvdib.learning.membrane_adam import StepAdam
from streamvdib.learning.membrane_projection import MeanInput, without_direction
from streamvdib.learning.membrane_trace import ResetTrace, reset_horizon
from streamvdib.neurons.lif_hard_reset import LIFHardReset
from streamvdib.neurons.neuron import NeuronState


@dataclass(frozen=True)
class MembranePotentialSettings:
    """Constants of the rule; the defaults are the paper's for MNIST.

    Attributes:
        learning_rate: of Adam, per time step.
        weight_decay: L2, added to the gradient.
        masked: keep only the errors of neurons that spiked wrongly (the XOR mask).
        forgets_moments: Adam's moments run over the steps of one sequence, as in the paper;
            False keeps them from sequence to sequence (ordinary Adam).
        square_decay: Adam's b2.
        hidden_rate: learning rate of the layers before the readout, as a part of its own; at 0
            they keep their weights, and their gradients are not worked out.
        keeps_mean_current: take the direction of the mean input out of the gradients of the
            layers before the readout (see ``membrane_projection``); not in the paper.
    """

    learning_rate: float = 5e-4
    weight_decay: float = 1e-4
    masked: bool = True
    forgets_moments: bool = True
    square_decay: float = 0.999
    hidden_rate: float = 1.0
    keeps_mean_current: bool = False


def potential_error(
    state: NeuronState, target_spikes: Tensor, *, threshold: float = 1.0, masked: bool = True
) -> Tensor:
    """E of eq 7, (n_lanes, n_neurons).

    Args:
        state: of the readout; its potential is relative to the threshold.
        target_spikes: x*, 0 or 1, same shape.
        threshold: V_th.
        masked: whether the XOR mask of eq 6 is used.
    """
    error = (target_spikes - 1.0) * threshold - state.membrane_potential
    return error * (target_spikes != state.spikes) if masked else error


class MembranePotentialRule:
    """Weights, traces and moments of a network that learns on its readout's potential.

    Each time step: ``Encoder.step`` with ``weights``, then ``learn_step``. Memory: three numbers
    per weight, and per lane ``horizon`` numbers per presynaptic neuron.

    Args:
        encoder: dense layers of ``LIFHardReset`` neurons.
        weights: where to start; copied.
        n_lanes: L; the gradient is the mean over lanes.
        n_steps: the length of a sequence, where it ends; None for a stream.
        settings: constants.
        device: where weights and traces live.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        *,
        n_lanes: int,
        n_steps: int | None = None,
        settings: MembranePotentialSettings | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        encoder.check_weights(weights)
        self.encoder, self.n_lanes = encoder, n_lanes
        self.settings = settings or MembranePotentialSettings()
        self.neurons = [_hard_reset(layer.neuron) for layer in encoder.layers]
        if not all(isinstance(layer.connection, Dense) for layer in encoder.layers):
            raise ConfigurationError("learning on the membrane potential requires dense layers")
        # (n_outputs, n_inputs): rows of the gradient are rows of the trace's history
        self._matrices = [
            layer.synapses[0].t().to(device, torch.float32, copy=True).contiguous()
            for layer in weights
        ]
        n_fixed = len(self._matrices) - 1 if self.settings.hidden_rate == 0.0 else 0
        self.n_fixed = n_fixed  # layers in front that do not learn
        self._rest = [(layer.feedback.to(device), layer.bias.to(device)) for layer in weights]
        self._traces = [
            ResetTrace(
                n_lanes,
                matrix.shape[1],
                matrix.shape[0],
                leak=neuron.leak,
                horizon=reset_horizon(neuron.leak, n_steps),
                device=device,
            )
            for matrix, neuron in zip(self._matrices[n_fixed:], self.neurons[n_fixed:], strict=True)
        ]
        projected = self._matrices[n_fixed:-1] if self.settings.keeps_mean_current else []
        self._means = [MeanInput(matrix.shape[1], device=device) for matrix in projected]
        self.adam = StepAdam(
            self._matrices[n_fixed:],
            learning_rate=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
            square_decay=self.settings.square_decay,
            rate_factors=[self.settings.hidden_rate] * (len(self._traces) - 1) + [1.0],
        )

    @property
    def weights(self) -> Weights:
        """The present weights; they change in place as the rule learns."""
        return tuple(
            LayerWeights(matrix.t()[None], feedback, bias)
            for matrix, (feedback, bias) in zip(self._matrices, self._rest, strict=True)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Weights, traces and moments, by name; see ``load_tensors``."""
        named = {f"weights.{index}": matrix for index, matrix in enumerate(self._matrices)}
        for index, trace in enumerate(self._traces):
            named |= {f"trace.{index}.{name}": value for name, value in trace.tensors().items()}
        for index, mean in enumerate(self._means):
            named |= {f"mean.{index}.{name}": value for name, value in mean.tensors().items()}
        return named | {f"adam.{name}": value for name, value in self.adam.tensors().items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave.

        Raises:
            CheckpointError: a tensor is missing or has another shape.
        """
        for name, value in self.tensors().items():
            if name not in tensors or tensors[name].shape != value.shape:
                raise CheckpointError(
                    f"a checkpoint of this rule must hold {name!r} of shape {tuple(value.shape)}; "
                    "it does not. Continue with the model and the settings it was made with."
                )
        for index, matrix in enumerate(self._matrices):
            matrix.copy_(tensors[f"weights.{index}"])
        for index, trace in enumerate(self._traces):
            trace.load_tensors(_of(tensors, f"trace.{index}."))
        for index, mean in enumerate(self._means):
            mean.load_tensors(_of(tensors, f"mean.{index}."))
        self.adam.load_tensors(_of(tensors, "adam."))

    def begin(self) -> None:
        """A new sequence starts in every lane."""
        for trace in self._traces:
            trace.begin()
        if self.settings.forgets_moments:
            self.adam.forget()

    def learn_step(self, inputs: Tensor, layers: Sequence[NeuronState], target: Tensor) -> None:
        """Change the weights by what step t shows.

        Args:
            inputs: x(t), 0 or 1, (n_lanes, n_inputs).
            layers: the state of every layer after step t.
            target: x*(t), the spikes that the readout should give, (n_lanes, n_outputs).
        """
        self.watch_step(inputs, layers)
        self.adam.step(self.gradients(layers, target))
        self.clear(layers)

    def watch_step(self, inputs: Tensor, layers: Sequence[NeuronState]) -> None:
        """Take in what every layer received at step t."""
        received = [inputs, *(layer.spikes for layer in layers[:-1])]
        for trace, spikes in zip(self._traces, received[self.n_fixed :], strict=True):
            trace.push(spikes)
        for mean, spikes in zip(self._means, received, strict=False):  # not for the readout
            mean.push(spikes)

    def gradients(self, layers: Sequence[NeuronState], target: Tensor) -> list[Tensor]:
        """dL/dW of every layer that learns at step t, mean over lanes, (n_outputs, n_inputs)."""
        if target.shape != layers[-1].spikes.shape:
            raise TargetError(
                f"target spikes must have shape {tuple(layers[-1].spikes.shape)}; "
                f"got {tuple(target.shape)}"
            )
        error = potential_error(
            layers[-1],
            target,
            threshold=self.neurons[-1].threshold,
            masked=self.settings.masked,
        )
        factor = error * (-1.0 / self.n_lanes)
        gradients = []
        for index in range(len(layers) - 1, self.n_fixed - 1, -1):
            gradient = self._traces[index - self.n_fixed].gradient(factor)
            if index < len(self._means):
                gradient = without_direction(gradient, self._means[index].direction)
            gradients.append(gradient)
            if index > self.n_fixed:
                below = layers[index - 1].membrane_potential
                derivative = self.neurons[index - 1].spike_derivative(below)
                factor = (factor @ self._matrices[index]) * derivative
        return gradients[::-1]

    def clear(self, layers: Sequence[NeuronState]) -> None:
        """Clear the traces of the neurons that spiked at step t."""
        for trace, layer in zip(self._traces, layers[self.n_fixed :], strict=True):
            trace.clear(layer.spikes)


def _of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below ``prefix``, without it."""
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}


def _hard_reset(neuron: object) -> LIFHardReset:
    if not isinstance(neuron, LIFHardReset):
        raise ConfigurationError(
            "learning on the membrane potential requires LIFHardReset neurons, whose reset "
            f"clears the trace; got {type(neuron).__name__}"
        )
    return neuron


def without_bias(weights: Weights) -> Weights:
    """The weights with every bias and feedback at zero: the paper's network has neither."""
    return tuple(
        LayerWeights(layer.synapses, torch.zeros_like(layer.feedback), torch.zeros_like(layer.bias))
        for layer in weights
    )
