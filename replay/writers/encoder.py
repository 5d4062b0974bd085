"""What a file format must offer so that events can be written in it."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, EventPacket, SensorSize


class Encoder(Protocol):
    """Turns events into bytes that may be appended to a file; used once per file."""

    def header(self) -> bytes:
        """What the file begins with."""

    def encode(self, packet: EventPacket) -> bytes:
        """The bytes of one packet.

        Raises:
            ConfigurationError: the format cannot hold an event; the message says what can.
        """

    def finish(self, file: BinaryIO) -> None:
        """Complete the file, which stands at its end, before it is closed."""


def check_fits(sensor_size: SensorSize, largest: SensorSize, format_name: str) -> None:
    """Refuse a sensor whose coordinates a format has no bits for."""
    if sensor_size.width > largest.width or sensor_size.height > largest.height:
        raise ConfigurationError(
            f"{format_name} holds sensors of at most {largest}; got {sensor_size}. "
            "Write .aedat4 or .svr instead."
        )


def check_times(events: EventArray, largest_us: int, format_name: str) -> None:
    """Refuse times that a format cannot hold, or only in a very long file."""
    if len(events) and (events["t_us"][0] < 0 or events["t_us"][-1] > largest_us):
        raise ConfigurationError(
            f"{format_name} holds times of 0 to {largest_us} us; got "
            f"{events['t_us'][0]}..{events['t_us'][-1]} us. Store times from the first event on "
            "(--zero-time, origin_us=None), or write .aedat4 or .svr instead."
        )
