"""Random draws as a function of (seed, lane, step, neuron): there is no generator to save.

    key = odd(splitmix64(splitmix64(seed) + lane))           one key per seed and lane
    word = squares32(step 2^24 + neuron, key)
    draw = floor(word / 2^8) / 2^24                          in [0, 1), exact in float32

The counter-based generator is Widynski's "squares", four rounds (arXiv:2004.06278); the key is
mixed by SplitMix64 (Steele et al., 2014, doi:10.1145/2660193.2660195). Every backend draws the
same numbers; a resumed run repeats them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError

MAX_NEURONS = 1 << 24
_MASK = (1 << 64) - 1


def lane_key(seed: int, lane: int) -> int:
    """The 64-bit odd key of a lane, as an unsigned integer."""
    return _splitmix64((_splitmix64(seed & _MASK) + lane) & _MASK) | 1


def lane_keys(seed: int, n_lanes: int, first_lane: int = 0) -> Tensor:
    """Keys of consecutive lanes, int64 with the bits of ``lane_key``, (n_lanes,)."""
    keys = [lane_key(seed, first_lane + lane) for lane in range(n_lanes)]
    return torch.tensor([key - (1 << 64) if key >> 63 else key for key in keys])


def draws(keys: Tensor, first_step: int | Tensor, n_steps: int, n_neurons: int) -> Tensor:
    """Uniform draws in [0, 1) for a run of steps.

    Args:
        keys: of the lanes, int64, (n_lanes,); the result lies on their device.
        first_step: the step of the first row, from 0; an int64 tensor () on that device is not
            read on the host.
        n_steps: rows.
        n_neurons: at most 2^24.

    Returns:
        float32, (n_steps, n_lanes, n_neurons).
    """
    if n_neurons > MAX_NEURONS:
        raise ConfigurationError(f"draws exist for at most {MAX_NEURONS} neurons; got {n_neurons}")
    steps = first_step + torch.arange(n_steps, device=keys.device)
    counters = (steps[:, None] << 24) + torch.arange(n_neurons, device=keys.device)
    return _squares32(counters[:, None, :], keys[None, :, None])


def _squares32(counter: Tensor, key: Tensor) -> Tensor:
    """Four rounds of squaring in 64-bit arithmetic that wraps, as a float32 in [0, 1)."""
    y = counter * key
    z = y + key
    x = _swap_halves(y * y + y)
    x = _swap_halves(x * x + z)
    x = _swap_halves(x * x + y)
    word = ((x * x + z) >> 32) & 0xFFFFFFFF
    return (word >> 8).to(torch.float32) * (1.0 / (1 << 24))


def _swap_halves(x: Tensor) -> Tensor:
    return ((x >> 32) & 0xFFFFFFFF) | (x << 32)


def _splitmix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
