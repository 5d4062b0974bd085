"""iniVation cameras (DAVIS, DVXplorer, DVS128) by dv-processing. No camera has run this yet."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamvdib.errors import LiveSourceError
from streamvdib.events import SensorSize, TimedImage, empty_events
from streamvdib.sources.devices import Driver
from streamvdib.sources.dv_events import from_dv_events
from streamvdib.sources.feed import Batch


class InivationDriver:
    """An open camera. Events that the device lost show as gaps only; none are reported."""

    lost = 0

    def __init__(self, camera: Any) -> None:
        self.name = f"inivation://{camera.getCameraName()}"
        self.sensor_size = SensorSize(*map(int, camera.getEventResolution()))
        self._camera = camera

    def poll(self) -> Batch | None:
        """Events and APS frames that have come."""
        try:
            store = self._camera.getNextEventBatch()
            frame = self._camera.getNextFrame() if self._has_frames() else None
            is_running = self._camera.isRunning()
        except RuntimeError as error:
            raise LiveSourceError(f"{self.name}: the camera must answer; {error}") from error
        if store is None and frame is None:
            if not is_running:
                raise LiveSourceError(f"{self.name}: the camera must stay; it was unplugged")
            return None
        events = empty_events() if store is None else from_dv_events(store.numpy())
        return Batch(events, images=() if frame is None else (_timed_image(frame),))

    def close(self) -> None:
        """Let go of the camera."""
        self._camera = None

    def _has_frames(self) -> bool:
        return bool(self._camera.isFrameStreamAvailable())


def _timed_image(frame: Any) -> TimedImage:
    """A grey frame at the middle of its exposure, which is dv's time stamp."""
    pixels = np.asarray(frame.image, dtype=np.uint8)
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2).astype(np.uint8)
    return TimedImage(int(frame.timestamp), grey)


def open_driver(serial: str) -> Driver:
    """The camera with this serial number, or the first one.

    Raises:
        LiveSourceError: there is none.
    """
    import dv_processing

    try:
        camera = dv_processing.io.camera.open(serial) if serial else dv_processing.io.camera.open()
    except (RuntimeError, IndexError, OSError) as error:
        cause = "none was found" if isinstance(error, IndexError) else error  # of an empty list
        raise LiveSourceError(
            f"inivation://{serial}: a camera must be plugged in and readable (udev rules); {cause}"
        ) from error
    return InivationDriver(camera)
