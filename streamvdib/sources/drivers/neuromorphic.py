"""Prophesee EVK3 HD and EVK4, DAVIS346, DVXplorer by neuromorphic-drivers.

No camera has run this yet. Interface: that of 0.18.2, whose packets are typed in its ``packet.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streamvdib.errors import LiveSourceError
from streamvdib.events import SensorSize, TimedImage, as_events, empty_events
from streamvdib.sources.devices import Driver
from streamvdib.sources.feed import Batch

_TIMEOUT_S = 0.02


class NeuromorphicDriver:
    """An open camera."""

    def __init__(self, device: Any) -> None:
        properties = device.properties()
        self.name = f"camera://{device.serial()}"
        self.sensor_size = SensorSize(int(properties.width), int(properties.height))
        self.lost = 0
        self._device = device
        self._n_dropped = 0

    def poll(self) -> Batch | None:
        """The next packet; waits up to 20 ms for it."""
        try:
            status, packet = next(self._device)
        except StopIteration as error:
            raise LiveSourceError(f"{self.name}: the camera must stay; it has gone") from error
        except RuntimeError as error:
            raise LiveSourceError(f"{self.name}: the camera must answer; {error}") from error
        self._count_losses(status, packet)
        events = None if packet is None else packet.polarity_events
        images = tuple(_timed_image(frame) for frame in getattr(packet, "frames", ()))
        if events is None or not len(events):
            return Batch(empty_events(), images=images) if images else None
        return Batch(as_events(events["t"], events["x"], events["y"], events["on"]), images=images)

    def close(self) -> None:
        """Let go of the camera."""
        if self._device is not None:
            self._device.close()
        self._device = None

    def _count_losses(self, status: Any, packet: Any) -> None:
        ring = getattr(status, "ring", None)
        if ring is not None and ring.dropped_packets != self._n_dropped:
            self.lost += max(0, ring.dropped_packets - self._n_dropped)
            self._n_dropped = ring.dropped_packets
        overflows = getattr(packet, "polarity_events_overflow_indices", None)
        if overflows is not None:
            self.lost += len(overflows)


def _timed_image(frame: Any) -> TimedImage:
    """A frame of a DAVIS346, of 16 bits, at the middle of its exposure."""
    is_exposed = frame.exposure_start_t is not None and frame.exposure_end_t is not None
    t_us = (frame.exposure_start_t + frame.exposure_end_t) // 2 if is_exposed else frame.t
    return TimedImage(int(t_us), (np.asarray(frame.pixels) >> 8).astype(np.uint8))


def open_driver(serial: str) -> Driver:
    """The camera with this serial number, or the first one.

    Raises:
        LiveSourceError: there is none.
    """
    import neuromorphic_drivers

    try:
        device = neuromorphic_drivers.open(serial=serial or None, iterator_timeout=_TIMEOUT_S)
    except (RuntimeError, OSError) as error:
        raise LiveSourceError(
            f"camera://{serial}: a camera must be plugged in and readable (udev rules, "
            f"neuromorphic-drivers-install-udev-rules); {error}"
        ) from error
    return NeuromorphicDriver(device)
