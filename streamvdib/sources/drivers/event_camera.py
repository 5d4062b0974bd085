"""iniVation cameras by faery's event-camera-drivers (libcaer). No camera has run this yet."""

from __future__ import annotations

from typing import Any

from streamvdib.errors import LiveSourceError
from streamvdib.events import SensorSize, as_events
from streamvdib.sources.devices import Driver
from streamvdib.sources.feed import Batch


class EventCameraDriver:
    """An open camera. Lost events are not reported by the library."""

    lost = 0

    def __init__(self, camera: Any) -> None:
        self.name = "inivation://"
        self.sensor_size = SensorSize(*map(int, camera.resolution()))
        self._camera = camera

    def poll(self) -> Batch | None:
        """The next buffer of events; waits for it."""
        try:
            events = next(self._camera)
        except StopIteration as error:
            raise LiveSourceError(f"{self.name}: the camera must stay; it has gone") from error
        if not len(events):
            return None
        return Batch(as_events(events["t"], events["x"], events["y"], events["on"]))

    def close(self) -> None:
        """Let go of the camera."""
        self._camera = None


def open_driver(serial: str) -> Driver:
    """The first camera.

    Raises:
        LiveSourceError: there is none, or a serial number was asked for.
    """
    import event_camera_drivers

    if serial:
        raise LiveSourceError(
            f"inivation://{serial}: event-camera-drivers must open the first camera it finds; "
            "it cannot choose by serial number. Install dv-processing."
        )
    try:
        camera = event_camera_drivers.InivationCamera(buffer_size=1024)
    except (ValueError, RuntimeError) as error:
        raise LiveSourceError(f"inivation://: a camera must be plugged in; {error}") from error
    return EventCameraDriver(camera)
