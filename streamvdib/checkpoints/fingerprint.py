"""What the arithmetic depends on beside the configuration: a difference may change a last bit."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

import torch

_PACKAGES = ("streamvdib", "torch", "numpy", "numba", "safetensors")


def fingerprint() -> dict[str, str]:
    """Versions, processor capability and threads of this process."""
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {
        **versions,
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
