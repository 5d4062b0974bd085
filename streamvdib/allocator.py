"""The C library's allocator, told to give back what big blocks took.

Left alone, glibc raises its threshold for blocks with pages of their own each time that such a
block is freed, up to 32 MB. A storm of events then leaves big holes in a heap that small blocks
keep from shrinking, and each thread has such a heap: resident memory creeps up for hours although
nothing is held. With fixed thresholds it stays flat (``docs/faults.md``, "Trials"). See mallopt(3).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h
_BIG_BYTES = 512 << 10  # above a frame of 346 x 260, below a packet of a storm
_N_HEAPS = 2


def keep_memory_flat(environment: Mapping[str, str] = os.environ) -> bool:
    """Fix the thresholds of this process; call it before much is allocated.

    Args:
        environment: where MALLOC_... are looked up (mallopt(3)); who sets one wants no other.

    Returns:
        Whether it was done; another C library is left as it is.
    """
    if any(name.startswith("MALLOC_") for name in environment):
        return False
    mallopt = _function("mallopt")
    if mallopt is None:
        return False
    values = {_MMAP_THRESHOLD: _BIG_BYTES, _TRIM_THRESHOLD: _BIG_BYTES, _ARENA_MAX: _N_HEAPS}
    return all([mallopt(name, value) == 1 for name, value in values.items()])


def give_back() -> bool:
    """Give pages that hold nothing back to the system, as after an engine gave way to another.

    Takes some milliseconds, in which other threads may wait for memory.

    Returns:
        Whether the C library can.
    """
    trim = _function("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _function(name: str) -> Callable[..., int] | None:
    """Of the C library, if it has it: only glibc has these."""
    return getattr(ctypes.CDLL(None), name, None)
