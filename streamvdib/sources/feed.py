"""What a live device looks like to the thread that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from streamvdib.events import EventArray, SensorSize, TimedImage


@dataclass(frozen=True)
class Batch:
    """What a device gave in one reading, with the device's own times."""

    events: EventArray  # EVENT_DTYPE, as they came
    end_us: int | None = None  # the device says that nothing before this will come any more
    images: tuple[TimedImage, ...] = ()


class Feed(Protocol):
    """A device, a socket or a pipe: opened, read by one thread, closed, opened again.

    ``counters`` only ever grow; they count what was malformed or lost before it became events.
    """

    name: str
    counters: dict[str, int]

    @property
    def sensor_size(self) -> SensorSize:
        """Known once the feed has been opened."""

    @property
    def time_bits(self) -> int:
        """32: the device's clock passes zero every 71.6 minutes; 64: it never does."""

    def open(self) -> None:
        """Connect.

        Raises:
            LiveSourceError: nothing answers; it is tried again after a while.
        """

    def read(self, timeout_s: float) -> Batch | None:
        """What has come, waiting up to ``timeout_s`` for it; None when the stream is over.

        Raises:
            LiveSourceError: the connection broke; it is opened again after a while.
        """

    def close(self) -> None:
        """Disconnect; safe to call twice, and before ``open``."""
