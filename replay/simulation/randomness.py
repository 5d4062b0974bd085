"""Counter-based draws for compiled code: the same (seed, counter) gives the same number anywhere.

The mixing function is SplitMix64's finaliser (Steele, Lea and Flood, 2014,
doi:10.1145/2660193.2660195), applied once per word of the counter.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11))
UNIT = 1.0 / 9007199254740992.0  # 2**-53


@njit(cache=True, nogil=True, inline="always")
def _mix(word: np.uint64) -> np.uint64:
    word = (word ^ (word >> SHIFTS[0])) * FIRST_FACTOR
    word = (word ^ (word >> SHIFTS[1])) * SECOND_FACTOR
    return word ^ (word >> SHIFTS[2])


@njit(cache=True, nogil=True)
def uniform(seed: np.uint64, stream: int, counter: int) -> float:
    """A number in the open interval (0, 1).

    Args:
        seed: which recording.
        stream: which quantity of it, such as a pixel.
        counter: which draw of that quantity.
    """
    word = _mix(np.uint64(seed) + GOLDEN_GAMMA)
    word = _mix(word + np.uint64(stream) * GOLDEN_GAMMA + GOLDEN_GAMMA)
    word = _mix(word + np.uint64(counter) * GOLDEN_GAMMA + GOLDEN_GAMMA)
    return (float(word >> SHIFTS[3]) + 0.5) * UNIT


@njit(cache=True, nogil=True)
def normal(seed: np.uint64, stream: int, counter: int) -> float:
    """A draw from the standard normal distribution (Box and Muller); uses counters 2c, 2c + 1."""
    radius = math.sqrt(-2.0 * math.log(uniform(seed, stream, 2 * counter)))
    angle = 2.0 * math.pi * uniform(seed, stream, 2 * counter + 1)
    return radius * math.cos(angle)


@njit(cache=True, nogil=True)
def exponential(seed: np.uint64, stream: int, counter: int) -> float:
    """A draw from the exponential distribution of mean one."""
    return -math.log(uniform(seed, stream, counter))
