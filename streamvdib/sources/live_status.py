"""How a live source is doing, for a status line and for the metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveStatus:
    """A snapshot of a live source.

    Always ``n_received == n_delivered + n_dropped + n_refused + n_held``.
    """

    name: str
    is_connected: bool
    n_received: int  # events read from the device
    n_delivered: int  # events handed on in packets
    n_dropped: int  # events that made room in a full queue
    n_refused: int  # events late, off the sensor or out of all time
    n_held: int  # events in the queue, or waiting for their time to be over
    n_reconnections: int
    n_lost_upstream: int  # datagrams, packets or gaps the device or the system lost before us
    rate_hz: float  # events a second since the last snapshot
    queue_fill: float  # 0 is empty, 1 is full
    lag_us: int  # how far what was delivered is behind the newest event, sensor time

    def __str__(self) -> str:
        state = "" if self.is_connected else " DISCONNECTED"
        return (
            f"{self.name}{state}: {_scaled(self.rate_hz)}ev/s, queue {self.queue_fill:.0%}, "
            f"dropped {self.n_dropped}, refused {self.n_refused}, lost {self.n_lost_upstream}, "
            f"reconnected {self.n_reconnections}, lag {self.lag_us / 1000:.1f} ms"
        )


def _scaled(value: float) -> str:
    """Three digits and a unit.

    >>> _scaled(1_250_000.0), _scaled(999.0), _scaled(12_300.0)
    ('1.25 M', '999 ', '12.3 k')
    """
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} "
