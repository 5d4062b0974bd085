"""Prophesee cameras by Metavision, where it is installed. No camera has run this yet.

Interface: ``metavision_core.event_io.EventsIterator`` of Metavision 4 and 5 (docs.prophesee.ai).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streamvdib.errors import LiveSourceError
from streamvdib.events import SensorSize, as_events
from streamvdib.sources.devices import Driver
from streamvdib.sources.feed import Batch

_SLICE_US = 2_000


class MetavisionDriver:
    """An open camera."""

    lost = 0

    def __init__(self, slices: Any, name: str) -> None:
        height, width = slices.get_size()
        self.name = name
        self.sensor_size = SensorSize(int(width), int(height))
        self._reader = slices
        self._slices: Iterator[Any] | None = iter(slices)

    def poll(self) -> Batch | None:
        """The events of the next 2 ms; waits for them."""
        if self._slices is None:
            return None
        try:
            events = next(self._slices)
        except StopIteration as error:
            raise LiveSourceError(f"{self.name}: the camera must stay; it has gone") from error
        except (RuntimeError, AssertionError) as error:  # it asserts that times are in order
            raise LiveSourceError(f"{self.name}: the camera must answer; {error}") from error
        end_us = int(self._reader.get_current_time())
        return Batch(as_events(events["t"], events["x"], events["y"], events["p"] == 1), end_us)

    def close(self) -> None:
        """Let go of the camera."""
        self._slices = self._reader = None


def open_driver(serial: str) -> Driver:
    """The camera with this serial number, or the first one.

    Raises:
        LiveSourceError: there is none.
    """
    from metavision_core.event_io import EventsIterator

    try:
        slices = EventsIterator(input_path=serial, delta_t=_SLICE_US)
    except (RuntimeError, OSError, ValueError) as error:
        raise LiveSourceError(
            f"prophesee://{serial}: a camera must be plugged in and readable; {error}"
        ) from error
    return MetavisionDriver(slices, f"prophesee://{serial}")
