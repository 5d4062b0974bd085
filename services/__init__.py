"""The ZeroMQ side: decoded frames out, control in, figures for people and machines.

>>> from streamvdib.services import FrameClient
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .bounds import WireError
    from .client import AsyncFrameClient, FrameClient
    from .control_client import ControlClient
    from .keys import KeyPair, make_key_pair, read_key_pair, read_public_key
    from .tracking import Received

__all__ = [
    "AsyncFrameClient",
    "ControlClient",
    "FrameClient",
    "KeyPair",
    "Received",
    "WireError",
    "make_key_pair",
    "read_key_pair",
    "read_public_key",
]

_MODULES = {
    "AsyncFrameClient": "client",
    "ControlClient": "control_client",
    "FrameClient": "client",
    "KeyPair": "keys",
    "Received": "tracking",
    "WireError": "bounds",
    "make_key_pair": "keys",
    "read_key_pair": "keys",
    "read_public_key": "keys",
}


def __getattr__(name: str) -> object:
    """Import on first use: a command line that asks for help need not load ZeroMQ."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
