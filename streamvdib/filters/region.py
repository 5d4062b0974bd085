"""Keeps events in a rectangle: ``roi=X:Y:WIDTH:HEIGHT``. Coordinates stay those of the sensor."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize


class Region:
    """Remembers nothing."""

    name = "roi"

    def __init__(self, x: int, y: int, width: int, height: int) -> None:
        self._start_x, self._end_x = x, x + width
        self._start_y, self._end_y = y, y + height

    def keep(self, events: EventArray) -> npt.NDArray[np.bool_]:
        """Those in the rectangle."""
        x, y = events["x"], events["y"]
        in_columns = (x >= self._start_x) & (x < self._end_x)
        return np.asarray(in_columns & (y >= self._start_y) & (y < self._end_y))


def parse(value: str, sensor_size: SensorSize) -> Region:
    """From ``X:Y:WIDTH:HEIGHT``, which must touch the sensor."""
    words = value.split(":")
    if len(words) != 4 or not all(word.isdigit() for word in words):
        raise ConfigurationError(f"roi= must be X:Y:WIDTH:HEIGHT in pixels; got {value!r}")
    x, y, width, height = map(int, words)
    if not (width and height and x < sensor_size.width and y < sensor_size.height):
        raise ConfigurationError(
            f"roi= must hold pixels of the sensor of {sensor_size}; got {value}"
        )
    return Region(x, y, width, height)
