"""The reference backend: ``Encoder.step``, one step after the other, on any torch device."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import torch

from streamvdib.backends import EncoderTrace, SpikeArray
from streamvdib.encoder import Encoder, EncoderState, LayerWeights, Weights
from streamvdib.input_steps import InputSteps
from streamvdib.randomness import lane_keys


class TorchBackend:
    """Runs the reference step. Memory: one ``EncoderState``."""

    def __init__(
        self,
        encoder: Encoder,
        weights: Weights,
        *,
        n_lanes: int,
        seed: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.encoder = encoder
        self.dtype, self.device = dtype, torch.device(device)
        self.keys = lane_keys(seed, n_lanes).to(self.device)
        self.set_weights(weights)
        self._state = encoder.initial_state(n_lanes, dtype=dtype, device=device)

    def advance(self, inputs: InputSteps) -> SpikeArray:
        """See ``Backend``."""
        return self.watch(inputs).spikes[-1]

    def watch(self, inputs: InputSteps) -> EncoderTrace:
        """See ``Backend``."""
        dense = torch.from_numpy(inputs.dense()).to(self.device, self.dtype)
        states = []
        with torch.inference_mode():
            for spikes in dense:
                self._state = self.encoder.step(self.weights, spikes, self._state, self.keys)
                states.append(self._state.layers)
        n_layers = len(self.encoder.layers)
        shapes = [(0, inputs.n_lanes, int(np.prod(s))) for s in self.encoder.layer_shapes]
        if not states:
            return EncoderTrace(
                inputs,
                tuple(np.zeros(shape, np.uint8) for shape in shapes),
                tuple(np.zeros(shape, np.float32) for shape in shapes),
            )
        return EncoderTrace(
            inputs,
            tuple(
                torch.stack([s[i].spikes for s in states]).to(torch.uint8).cpu().numpy()
                for i in range(n_layers)
            ),
            tuple(
                torch.stack([s[i].membrane_potential for s in states]).cpu().numpy()
                for i in range(n_layers)
            ),
        )

    def state(self) -> EncoderState:
        """See ``Backend``."""
        return self._state

    def restore(self, state: EncoderState) -> None:
        """See ``Backend``; the state may come from another device or precision."""
        layers = tuple(
            replace(
                layer,
                **{
                    field.name: getattr(layer, field.name).to(self.device, self.dtype)
                    for field in fields(layer)
                },
            )
            for layer in cast(tuple[Any, ...], state.layers)
        )
        self._state = EncoderState(state.step, layers)

    def set_weights(self, weights: Weights) -> None:
        """See ``Backend``."""
        self.encoder.check_weights(weights)
        self.weights = tuple(
            LayerWeights(
                layer.synapses.to(self.device, self.dtype),
                layer.feedback.to(self.device, self.dtype),
                layer.bias.to(self.device, self.dtype),
            )
            for layer in weights
        )
