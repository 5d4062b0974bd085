"""The spiking encoder: layers of neurons, the last of which is the readout.

One step sends the input spikes through every layer in turn; a spike of one layer reaches the
next in the same step, through the next layer's spike response. Weights and state are values.

Skatchkovsky et al., 2021, eq. 3 and 15 to 18.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from streamvdib.connections import Connection, Convolution, Shape, spread
from streamvdib.errors import ModelError
from streamvdib.neurons.neuron import Neuron, NeuronParameters, NeuronState
from streamvdib.randomness import draws, lane_keys
from streamvdib.reduced_weights import FLOAT32, check_weight_type, rounded


@dataclass(frozen=True)
class Layer:
    """A connection and the neurons that it feeds."""

    connection: Connection
    neuron: Neuron


@dataclass(frozen=True)
class LayerWeights:
    """Everything of a layer that learning changes."""

    synapses: Tensor  # w, shape of Connection.weight_shape
    feedback: Tensor  # w_fb, (n_neurons,) or (channels,)
    bias: Tensor  # (n_neurons,) or (channels,)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors with their names."""
        yield "synapses", self.synapses
        yield "feedback", self.feedback
        yield "bias", self.bias


Weights = tuple[LayerWeights, ...]


@dataclass(frozen=True)
class EncoderState:
    """What the encoder remembers: at most tau_e steps of every layer."""

    step: int  # steps done so far; the number of the next one
    layers: tuple[NeuronState, ...]


@dataclass(frozen=True)
class Encoder:
    """Constants of the network; at least one layer, the last one the readout."""

    input_shape: Shape  # (channels, height, width) or (n_inputs,)
    layers: tuple[Layer, ...]
    weight_type: str = FLOAT32  # what synapses are rounded to, see ``reduced_weights``

    def __post_init__(self) -> None:
        check_weight_type(self.weight_type)
        if not self.layers:
            raise ModelError("an encoder requires at least the readout layer; got none")
        self.layer_shapes  # noqa: B018 - raises where the shapes do not fit

    @property
    def n_inputs(self) -> int:
        """Input lines."""
        return math.prod(self.input_shape)

    @property
    def n_outputs(self) -> int:
        """Readout neurons."""
        return math.prod(self.layer_shapes[-1])

    @property
    def layer_shapes(self) -> tuple[Shape, ...]:
        """The shape of every layer, the readout last."""
        shapes: list[Shape] = [self.input_shape]
        for layer in self.layers:
            shapes.append(layer.connection.output_shape(shapes[-1]))
        return tuple(shapes[1:])

    @property
    def source_shapes(self) -> tuple[Shape, ...]:
        """The shape of what feeds every layer."""
        return (self.input_shape, *self.layer_shapes[:-1])

    def initial_weights(self, generator: torch.Generator) -> Weights:
        """Random weights: hidden layers as torch's Linear, the readout Xavier-uniform.

        Hidden feedback is -1 (refractory); readout feedback and bias start as the settings say.
        """
        return tuple(
            replace(given, synapses=rounded(given.synapses, self.weight_type))
            for given in (
                self._initial_layer_weights(index, generator) for index in range(len(self.layers))
            )
        )

    def _initial_layer_weights(self, index: int, generator: torch.Generator) -> LayerWeights:
        layer, source = self.layers[index], self.source_shapes[index]
        shape = layer.connection.weight_shape(source, layer.neuron.response.n_basis)
        n_parameters = layer.connection.n_parameters(source)
        if isinstance(layer.connection, Convolution):
            fan_in, fan_out = math.prod(shape[2:]), math.prod((shape[1], *shape[3:]))
        else:
            fan_in, fan_out = shape[1], shape[2]

        def uniform(bound: float, *size: int) -> Tensor:
            return (2 * torch.rand(size, generator=generator) - 1) * bound

        if layer.neuron.stochastic:
            n_basis = shape[0]
            bound = math.sqrt(6 / ((fan_in + fan_out) * n_basis))
            narrow = math.sqrt(6 / (n_parameters + 1))
            return LayerWeights(
                uniform(bound, *shape),
                uniform(narrow, n_parameters),
                uniform(narrow, n_parameters),
            )
        bound = 1 / math.sqrt(fan_in)
        return LayerWeights(
            uniform(bound, *shape), -torch.ones(n_parameters), uniform(bound, n_parameters)
        )

    def check_weights(self, weights: Weights) -> None:
        """Raise ``ModelError`` where weights have not the shapes or the type of this network."""
        if len(weights) != len(self.layers):
            raise ModelError(f"weights require {len(self.layers)} layers; got {len(weights)}")
        for index, (layer, given) in enumerate(zip(self.layers, weights, strict=True)):
            source = self.source_shapes[index]
            n_parameters = layer.connection.n_parameters(source)
            expected = {
                "synapses": layer.connection.weight_shape(source, layer.neuron.response.n_basis),
                "feedback": (n_parameters,),
                "bias": (n_parameters,),
            }
            for name, tensor in given.tensors():
                if tuple(tensor.shape) != expected[name]:
                    raise ModelError(
                        f"{name} of layer {index} must have shape {expected[name]}; "
                        f"got {tuple(tensor.shape)}"
                    )
            if self.weight_type != FLOAT32 and not torch.equal(
                rounded(given.synapses, self.weight_type), given.synapses
            ):
                raise ModelError(
                    f"synapses of layer {index} must be rounded to {self.weight_type}; these are "
                    "not. Round those of a float32 model with with_reduced_weights."
                )

    def initial_state(
        self,
        n_lanes: int = 1,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> EncoderState:
        """The state before step 0."""
        return EncoderState(
            0,
            tuple(
                layer.neuron.initial_state(
                    n_lanes, math.prod(shape), dtype=dtype, device=torch.device(device)
                )
                for layer, shape in zip(self.layers, self.layer_shapes, strict=True)
            ),
        )

    def step(
        self, weights: Weights, spikes: Tensor, state: EncoderState, keys: Tensor
    ) -> EncoderState:
        """Advance every layer by one time step.

        Args:
            weights: one entry per layer.
            spikes: x_t, 0 or 1, (n_lanes, n_inputs).
            state: the state after the step before; unchanged.
            keys: of the lanes' random draws, from ``lane_keys``, (n_lanes,).

        Returns:
            The state after this step; its last layer's ``spikes`` are y_t.
        """
        parameters = tuple(map(layer_parameters, weights, self.layer_shapes))
        synapses = tuple(layer.synapses for layer in weights)
        layers = self.step_layers(synapses, parameters, spikes, state.step, state.layers, keys)
        return EncoderState(state.step + 1, layers)

    def step_layers(
        self,
        synapses: Sequence[Tensor],
        parameters: Sequence[NeuronParameters],
        spikes: Tensor,
        step: int | Tensor,
        layers: Sequence[NeuronState],
        keys: Tensor,
    ) -> tuple[NeuronState, ...]:
        """``step`` on tensors only: with ``step`` a tensor (), no number is read on the host.

        Args:
            synapses: of every layer.
            parameters: of every layer.
            spikes: x_t, 0 or 1, (n_lanes, n_inputs).
            step: the number of this step, for the random draws.
            layers: the layers' states after the step before; unchanged.
            keys: see ``step``.
        """
        after: list[NeuronState] = []
        for index, layer in enumerate(self.layers):
            shape = self.layer_shapes[index]
            current = layer.connection.current(synapses[index], spikes, self.source_shapes[index])
            uniform = None
            if layer.neuron.stochastic:
                uniform = draws(keys, step, 1, math.prod(shape))[0]
            layer_state = layer.neuron.step(current, parameters[index], layers[index], uniform)
            after.append(layer_state)
            spikes = layer_state.spikes
        return tuple(after)


def layer_parameters(weights: LayerWeights, shape: Shape) -> NeuronParameters:
    """Biases and feedback weights, one per neuron."""
    return NeuronParameters(spread(weights.bias, shape), spread(weights.feedback, shape))


__all__ = [
    "Encoder",
    "EncoderState",
    "Layer",
    "LayerWeights",
    "Weights",
    "lane_keys",
    "layer_parameters",
]
