"""The sensor's clock seen from this machine's: when was each sensor time true?"""

from __future__ import annotations

import uuid
from pathlib import Path

_RESET_US = 1_000_000
_BUCKET_NS = 30_000_000_000


def boot_id() -> str:
    """Names this machine's monotonic clock: two processes may compare it if their ids agree."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"{uuid.getnode():012x}"


class SensorClock:
    """Maps sensor time to the monotonic clock by the packets that were least late.

    A packet cannot arrive before its end is true, so the smallest (arrival - end) seen is the
    closest to the truth. The least of the last 30 to 60 s is used, so that drift is followed.
    Memory: three numbers.

    Args:
        speed: seconds of sensor time per second; None for a source without a pace, whose
            packets are due when they come.
    """

    def __init__(self, speed: float | None = 1.0) -> None:
        self._speed = speed
        self._older_ns: int | None = None
        self._newer_ns: int | None = None
        self._bucket_ns = 0
        self.newest_us = 0  # sensor time at which the packet that came last ends
        self._arrival_ns = 0

    def arrived(self, end_us: int, arrival_ns: int) -> None:
        """A packet that ends at ``end_us`` came at ``arrival_ns`` of the monotonic clock."""
        if end_us < self.newest_us - _RESET_US:
            self._older_ns = self._newer_ns = None  # the sensor's clock was set back
        self.newest_us, self._arrival_ns = end_us, arrival_ns
        if self._speed is None:
            return
        offset_ns = arrival_ns - round(end_us * 1000 / self._speed)
        if self._newer_ns is None or arrival_ns - self._bucket_ns > _BUCKET_NS:
            self._older_ns, self._newer_ns = self._newer_ns, offset_ns
            self._bucket_ns = arrival_ns
        self._newer_ns = min(self._newer_ns, offset_ns)

    def due_ns(self, t_us: int) -> int:
        """Monotonic time at which sensor time ``t_us`` was true."""
        if self._speed is None or self._newer_ns is None:
            return self._arrival_ns
        offset_ns = self._newer_ns
        if self._older_ns is not None:
            offset_ns = min(offset_ns, self._older_ns)
        return offset_ns + round(t_us * 1000 / self._speed)
