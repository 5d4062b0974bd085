"""streamvdib: event camera in, natural frames out.

Events advance a spiking encoder one time step at a time; a causal decoder turns its last
tau_d readout spike vectors into natural frames. Nothing heavy is imported until it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamvdib.engine import Engine, Frame
    from streamvdib.events import EVENT_DTYPE, EventPacket, SensorSize
    from streamvdib.geometry import Geometry, fit_geometry
    from streamvdib.model import Model, load_model
    from streamvdib.sources import open_source

__version__ = "0.1.0"

_HOMES = {
    "Engine": "engine",
    "Frame": "engine",
    "EVENT_DTYPE": "events",
    "EventPacket": "events",
    "SensorSize": "events",
    "Geometry": "geometry",
    "fit_geometry": "geometry",
    "Model": "model",
    "load_model": "model",
    "open_source": "sources",
}

__all__ = [
    "EVENT_DTYPE",
    "Engine",
    "EventPacket",
    "Frame",
    "Geometry",
    "Model",
    "SensorSize",
    "fit_geometry",
    "load_model",
    "open_source",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used, so that ``--help`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'streamvdib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"streamvdib.{_HOMES[name]}"), name)
