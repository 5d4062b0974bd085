"""The reference step on tensors that stay where they are, for what replays a step.

A step reads its spikes from a buffer and leaves state and step number in the buffers that it took
them from: compiled code and CUDA graphs are bound to addresses, and must not ask the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace, SpikeArray
from streamvdib.encoder import Encoder, EncoderState, Weights, layer_parameters
from streamvdib.input_steps import InputSteps
from streamvdib.neurons.neuron import NeuronParameters, NeuronState
from streamvdib.randomness import lane_keys

Buffers = dict[str, Tensor]
Run = Callable[[], object]  # one step on the buffers
Prepare = Callable[[Callable[..., None], Sequence[Tensor]], Run]


def make_buffers(
    encoder: Encoder, keys: Tensor, n_lanes: int, dtype: torch.dtype, device: torch.device
) -> Buffers:
    """Everything that a step reads or writes: weights of zero, the state before step 0.

    Names: "spikes", "step", "keys", and of layer i "i.synapses", "i.bias", "i.feedback" (one per
    neuron), "i.constant0"... and "i.state." with the fields of its state.
    """
    buffers = {
        "spikes": torch.zeros(n_lanes, encoder.n_inputs, dtype=dtype, device=device),
        "step": torch.zeros((), dtype=torch.int64, device=device),
        "keys": keys,
    }
    start = encoder.initial_state(n_lanes, dtype=dtype, device=device)
    for index, (layer, shape) in enumerate(zip(encoder.layers, encoder.layer_shapes, strict=True)):
        n_neurons = int(np.prod(shape))
        sizes = layer.connection.weight_shape(
            encoder.source_shapes[index], layer.neuron.response.n_basis
        )
        made = {
            "synapses": torch.zeros(sizes, dtype=dtype, device=device),
            "bias": torch.zeros(n_neurons, dtype=dtype, device=device),
            "feedback": torch.zeros(n_neurons, dtype=dtype, device=device),
        }
        for number, constant in enumerate(layer.neuron.constants(dtype, device)):
            made[f"constant{number}"] = constant
        for name, values in _tensors_of(start.layers[index]).items():
            made[f"state.{name}"] = values
        buffers |= {f"{index}.{name}": tensor for name, tensor in made.items()}
    return buffers


def step_in_place(encoder: Encoder, buffers: Mapping[str, Tensor]) -> None:
    """One step of ``Encoder.step_layers`` whose result takes the old state's place."""
    indices = range(len(encoder.layers))
    before = _states(encoder, buffers)
    parameters = []
    for index in indices:
        prefix = f"{index}.constant"
        constants = tuple(values for name, values in buffers.items() if name.startswith(prefix))
        parameters.append(
            NeuronParameters(buffers[f"{index}.bias"], buffers[f"{index}.feedback"], constants)
        )
    after = encoder.step_layers(
        [buffers[f"{index}.synapses"] for index in indices],
        parameters,
        buffers["spikes"],
        buffers["step"],
        before,
        buffers["keys"],
    )
    for old, new in zip(before, after, strict=True):
        for name, values in _tensors_of(new).items():
            getattr(old, name).copy_(values)
    buffers["step"].add_(1)


class BufferedSteps:
    """A backend whose step was prepared once, on buffers that stay where they are.

    Memory: one ``EncoderState``, the weights, and one chunk's input and result.
    """

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        prepare: Prepare,
        *,
        n_lanes: int,
        seed: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.encoder, self.dtype, self.device = encoder, dtype, device
        keys = lane_keys(seed, n_lanes).to(device)
        self.buffers = make_buffers(encoder, keys, n_lanes, dtype, device)
        self.set_weights(weights)
        names = tuple(self.buffers)

        def step(*tensors: Tensor) -> None:
            step_in_place(encoder, dict(zip(names, tensors, strict=True)))

        with torch.no_grad():
            self._run = prepare(step, tuple(self.buffers.values()))
        self.restore(encoder.initial_state(n_lanes, dtype=dtype, device=device))

    def advance(self, inputs: InputSteps) -> SpikeArray:
        """See ``Backend``."""
        (readout,) = self._record(inputs, [f"{len(self.encoder.layers) - 1}.state.spikes"])
        return readout.to(torch.uint8).cpu().numpy()

    def watch(self, inputs: InputSteps) -> EncoderTrace:
        """See ``Backend``."""
        n_layers = len(self.encoder.layers)
        wanted = [f"{i}.state.spikes" for i in range(n_layers)]
        wanted += [f"{i}.state.membrane_potential" for i in range(n_layers)]
        seen = self._record(inputs, wanted)
        return EncoderTrace(
            inputs,
            tuple(values.to(torch.uint8).cpu().numpy() for values in seen[:n_layers]),
            tuple(values.cpu().numpy() for values in seen[n_layers:]),
        )

    def _record(self, inputs: InputSteps, names: Sequence[str]) -> list[Tensor]:
        """Run every step; what the named buffers held after each, (n_steps, ...)."""
        dense = torch.from_numpy(inputs.dense()).to(self.device, self.dtype)
        watched = [self.buffers[name] for name in names]
        seen = [values.new_empty((len(dense), *values.shape)) for values in watched]
        with torch.no_grad():
            for index, spikes in enumerate(dense):
                self.buffers["spikes"].copy_(spikes)
                self._run()
                for kept, values in zip(seen, watched, strict=True):
                    kept[index].copy_(values)
        self._n_steps += len(dense)
        return seen

    def state(self) -> EncoderState:
        """See ``Backend``."""
        return EncoderState(
            self._n_steps,
            tuple(
                _with_tensors(layer, {name: t.clone() for name, t in _tensors_of(layer).items()})
                for layer in _states(self.encoder, self.buffers)
            ),
        )

    def restore(self, state: EncoderState) -> None:
        """See ``Backend``; the state may come from another device or precision."""
        self._n_steps = state.step
        self.buffers["step"].fill_(state.step)
        for index, layer in enumerate(state.layers):
            for name, values in _tensors_of(layer).items():
                self.buffers[f"{index}.state.{name}"].copy_(values)

    def set_weights(self, weights: Weights) -> None:
        """See ``Backend``; the values are copied."""
        self.encoder.check_weights(weights)
        with torch.no_grad():
            for index, (layer, shape) in enumerate(
                zip(weights, self.encoder.layer_shapes, strict=True)
            ):
                parameters = layer_parameters(layer, shape)
                self.buffers[f"{index}.synapses"].copy_(layer.synapses)
                self.buffers[f"{index}.bias"].copy_(parameters.bias)
                self.buffers[f"{index}.feedback"].copy_(parameters.feedback)


def _states(encoder: Encoder, buffers: Mapping[str, Tensor]) -> tuple[NeuronState, ...]:
    """The layers' states, made of the buffers themselves."""
    states = []
    for index, layer in enumerate(encoder.layers):
        kind = layer.neuron.initial_state(0, 0, dtype=torch.float32, device=torch.device("cpu"))
        names = [field.name for field in fields(kind)]
        states.append(
            _with_tensors(kind, {name: buffers[f"{index}.state.{name}"] for name in names})
        )
    return tuple(states)


def _tensors_of(layer: NeuronState) -> dict[str, Tensor]:
    return {field.name: getattr(layer, field.name) for field in fields(cast(Any, layer))}


def _with_tensors(layer: NeuronState, tensors: Mapping[str, Tensor]) -> NeuronState:
    return cast(NeuronState, replace(cast(Any, layer), **tensors))
