"""Keeps events of one polarity: ``polarity=on`` or ``polarity=off``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize


class Polarity:
    """Remembers nothing."""

    name = "polarity"

    def __init__(self, on: bool) -> None:
        self._on = on

    def keep(self, events: EventArray) -> npt.NDArray[np.bool_]:
        """Those of the polarity."""
        return np.asarray(events["on"] == self._on)


def parse(value: str, sensor_size: SensorSize) -> Polarity:
    """From ``on`` or ``off``."""
    del sensor_size
    if value not in ("on", "off"):
        raise ConfigurationError(f"polarity= must be on or off; got {value!r}")
    return Polarity(value == "on")
