"""Which sensor a recording came from, where the recording does not say."""

from __future__ import annotations

from streamvdib.errors import RecordingError
from streamvdib.events import EventArray, SensorSize
from streamvdib.sources.kernels import extent

DVS128 = SensorSize(128, 128)
DAVIS240 = SensorSize(240, 180)
DAVIS346 = SensorSize(346, 260)
DAVIS640 = SensorSize(640, 480)
ATIS = SensorSize(304, 240)

KNOWN = (
    SensorSize(34, 34),  # N-MNIST
    DVS128,
    DAVIS240,
    ATIS,
    SensorSize(320, 240),  # DVXplorer Lite
    DAVIS346,
    DAVIS640,  # also DVXplorer, Prophesee Gen3
    SensorSize(1280, 720),  # Prophesee Gen4, IMX636
)


def smallest_for(events: EventArray, name: str) -> SensorSize:
    """The smallest known sensor on which events fit, but for those off any sensor.

    Args:
        events: the first of a recording, (n_events,).
        name: of the recording, for the message.
    """
    width, height = extent(events)
    return smallest_known(width, height, name)


def smallest_known(width: int, height: int, name: str) -> SensorSize:
    """The smallest known sensor with so many columns and rows.

    Args:
        width: columns needed.
        height: rows needed.
        name: of the recording, for the message.
    """
    for size in KNOWN:
        if width <= size.width and height <= size.height:
            return size
    raise RecordingError(
        f"{name}: the sensor's size must be stated or that of a known sensor; its events need "
        f"{width}x{height} pixels. Give it with sensor_size (--sensor-size)."
    )
