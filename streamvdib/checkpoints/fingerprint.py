"""What the arithmetic depends on beside the configuration: a difference may change a last bit."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping
from importlib import metadata

import torch

_PACKAGES = ("streamvdib", "torch", "numpy", "numba", "safetensors")


@functools.cache
def _versions() -> dict[str, str]:
    """Looked up once: it reads a file per package."""
    return {name: metadata.version(name) for name in _PACKAGES}


def fingerprint() -> dict[str, str]:
    """Versions, processor capability and threads of this process."""
    return {
        **_versions(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }


def differences(theirs: Mapping[str, str]) -> list[str]:
    """What differs between this process and the one that wrote a checkpoint, as sentences."""
    ours = fingerprint()
    return [
        f"{name} is {ours[name]} here and {theirs.get(name)} there"
        for name in ours
        if ours[name] != theirs.get(name)
    ]
