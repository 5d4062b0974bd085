"""Spike maps as data: the first steps of a layer's spikes, one bit each, in a file.

A map of T_h steps of 196 neurons takes 196 T_h bits where its image takes 784 bytes: for T_h =
15, 10, 5, 2, 1 that is 2.1, 3.2, 6.4, 16 and 32 times less.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from streamvdib.encoder import Encoder, Weights
from streamvdib.errors import ModelError

_FORMAT = 1


def save_spike_maps(maps: Tensor, path: Path) -> None:
    """Write maps of zeros and ones, (n, n_steps, n_neurons)."""
    with path.open("wb") as file:
        np.savez(
            file,
            spike_maps=np.array(_FORMAT),
            shape=np.array(maps.shape),
            bits=np.packbits(maps.to(torch.uint8).numpy().reshape(-1)),
        )


def load_spike_maps(path: Path, n_steps: int | None = None) -> Tensor:
    """Maps as zeros and ones, uint8, (n, n_steps, n_neurons); the first ``n_steps`` of each.

    Raises:
        ModelError: not a file of spike maps, or with fewer steps.
    """
    with np.load(path, allow_pickle=False) as file:
        if "spike_maps" not in file or int(file["spike_maps"]) != _FORMAT:
            raise ModelError(f"{path} must hold spike maps of format {_FORMAT}; it does not")
        shape = tuple(int(size) for size in file["shape"])
        bits = np.unpackbits(file["bits"], count=int(np.prod(shape)))
    maps = torch.from_numpy(bits.reshape(shape))
    if n_steps is not None and n_steps > shape[1]:
        raise ModelError(f"{path} holds {shape[1]} steps of each map; got {n_steps} asked for")
    return maps[:, :n_steps]


def decode_spike_maps(decoder: Encoder, weights: Weights, maps: Tensor, n_steps: int) -> Tensor:
    """Spike counts of the readout when maps are shown again and again, (n, n_outputs).

    Args:
        decoder: the second half of an autoencoder, fed the map's neurons.
        weights: of the decoder.
        maps: (n, T_h, n_neurons).
        n_steps: how long to look on.
    """
    state = decoder.initial_state(len(maps))
    keys = torch.zeros(len(maps), dtype=torch.int64)
    counted = torch.zeros(len(maps), decoder.n_outputs)
    for step in range(n_steps):
        state = decoder.step(weights, maps[:, step % maps.shape[1]].float(), state, keys)
        counted += state.layers[-1].spikes
    return counted
