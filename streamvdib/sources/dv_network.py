"""Events over TCP from iniVation's DV or any dv-processing ``NetworkWriter``.

    dv://192.168.0.7:7777

dv-processing's reader keeps what we do not fetch, so it is fetched as fast as it comes; what
does not fit our own queue is dropped there and counted.
"""

from __future__ import annotations

from typing import Any

from streamvdib.errors import LiveSourceError, MissingExtraError
from streamvdib.events import SensorSize
from streamvdib.sources.address import Address
from streamvdib.sources.devices import DeviceFeed
from streamvdib.sources.dv_events import from_dv_events
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveOptions, LiveSource


class DvNetworkDriver:
    """A TCP connection to a stream of events."""

    lost = 0

    def __init__(self, host: str, port: int) -> None:
        """Connect.

        Raises:
            MissingExtraError: dv-processing is not installed.
            LiveSourceError: nothing answers, or what answers sends no events.
        """
        try:
            import dv_processing
        except ImportError as error:
            raise MissingExtraError(
                "a dv TCP stream", extra="aedat4", missing="dv-processing"
            ) from error
        self.name = f"dv://{host}:{port}"
        try:
            self._reader: Any = dv_processing.io.NetworkReader(host, port)
        except RuntimeError as error:
            raise LiveSourceError(f"{self.name}: a dv server must answer; {error}") from error
        size = self._reader.getEventResolution()
        if not self._reader.isEventStreamAvailable() or size is None:
            raise LiveSourceError(f"{self.name}: the stream must hold events; it does not")
        self.sensor_size = SensorSize(*map(int, size))

    def poll(self) -> Batch | None:
        """What has been received."""
        store = self._reader.getNextEventBatch()
        if store is not None:
            return Batch(from_dv_events(store.numpy()))
        if not self._reader.isRunning():
            raise LiveSourceError(f"{self.name}: the server must stay; it has gone")
        return None

    def close(self) -> None:
        """Disconnect."""
        self._reader = None


def open_dv(
    uri: str,
    *,
    sensor_size: SensorSize | None = None,
    packet_us: int = 10_000,
    lenient: bool = False,  # noqa: ARG001 - a live source is always lenient
    **options: object,
) -> LiveSource:
    """Open ``dv://HOST:PORT``; the stream tells the sensor's size."""
    address = Address(uri, options)
    address.take_sensor_size(sensor_size)
    live = address.take_live_options(packet_us, LiveOptions())
    address.finish()
    host, port = address.host or "127.0.0.1", address.port
    return LiveSource(DeviceFeed(uri, lambda: DvNetworkDriver(host, port)), live)
