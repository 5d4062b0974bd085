"""Events that another service of this project, or ``replay``, publishes over ZeroMQ.

    zmq://127.0.0.1:5555            zmq://127.0.0.1:5555/STREAM?width=346&height=260

Reached through the table of addresses in ``streamvdib.sources``, which names this module by
string: the library itself imports no ZeroMQ. Messages that were lost on the way are counted.
"""

from __future__ import annotations

import time

import numpy as np

from streamvdib.errors import ConfigurationError, LiveSourceError
from streamvdib.events import EVENT_DTYPE, EventArray, SensorSize, empty_events
from streamvdib.sources.address import Address
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveOptions, LiveSource

from .client import FrameClient
from .tracking import Received

_FIELDS = EVENT_DTYPE.names or ()


class ZmqFeed:
    """Subscribes to the events of one stream. Memory: the socket's queue of 1,000 messages."""

    time_bits = 64

    def __init__(
        self, endpoint: str, sensor_size: SensorSize | None, *, stream: str = "", wait_s: float
    ) -> None:
        """A subscription that is not made yet.

        Args:
            endpoint: of the service's data socket, such as tcp://127.0.0.1:5555.
            sensor_size: None to wait until the service tells it.
            stream: whose events; empty for the only one there is.
            wait_s: how long to wait for the service to tell.
        """
        self.name = endpoint
        self.counters = {"lost_messages": 0, "malformed": 0, "restarts_of_service": 0}
        self._endpoint = endpoint
        self._size = sensor_size
        self._stream = stream
        self._wait_s = wait_s
        self._client: FrameClient | None = None
        self._first: Received | None = None
        self._n_foreign = 0  # messages whose records are no events

    @property
    def sensor_size(self) -> SensorSize:
        """As given, or as the service told."""
        if self._size is None:
            raise ConfigurationError(f"{self.name}: must be opened before its size is known")
        return self._size

    def open(self) -> None:
        """Subscribe, and wait for a description if the sensor's size is not given."""
        streams = (self._stream,) if self._stream else ()
        self._client = FrameClient(self._endpoint, streams=streams, kinds=("events",), newest=False)
        give_up_s = time.monotonic() + self._wait_s
        while self._size is None:
            self._first = self._client.receive(max(0.0, give_up_s - time.monotonic()))
            if self._first is None:
                raise LiveSourceError(
                    f"{self.name}: a service must publish events within {self._wait_s:g} s, so "
                    "that the sensor's size is known; none came. Start it, or give --sensor-size."
                )
            self._size = self._described_size(self._first.header.stream)

    def read(self, timeout_s: float) -> Batch:
        """The events of the messages that have come."""
        if self._client is None:
            raise LiveSourceError(f"{self.name}: must be opened before it is read")
        message = self._first or self._client.receive(timeout_s)
        self._first = None
        if message is None:
            return Batch(empty_events())
        parts, end_us = [], 0
        while message is not None:
            parts.append(self._events(message))
            end_us = max(end_us, message.header.end_us)
            message = self._client.receive(0.0) if len(parts) < 64 else None
        return Batch(np.concatenate(parts), end_us)

    def close(self) -> None:
        """Unsubscribe."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _described_size(self, stream: str) -> SensorSize | None:
        assert self._client is not None
        sensor = self._client.tracker.description.get(stream, {}).get("sensor")
        if isinstance(sensor, list) and len(sensor) == 2:
            return SensorSize(int(sensor[0]), int(sensor[1]))
        return None

    def _events(self, message: Received) -> EventArray:
        """A message's events; it is counted if its records are of another kind."""
        assert self._client is not None
        if not message.is_last:
            self.counters["lost_messages"] += message.n_missed
        self.counters["restarts_of_service"] = self._client.tracker.n_restarts
        self.counters["malformed"] = self._client.tracker.n_malformed + self._n_foreign
        values = message.values
        if message.is_last or values.dtype.names is None or set(_FIELDS) - set(values.dtype.names):
            self._n_foreign += not message.is_last
            return empty_events()
        events = empty_events(len(values))
        for name in _FIELDS:
            events[name] = values[name]
        return events


def open_zmq(
    uri: str,
    *,
    sensor_size: SensorSize | None = None,
    packet_us: int = 10_000,
    lenient: bool = False,  # noqa: ARG001 - a live source is always lenient
    **options: object,
) -> LiveSource:
    """Open ``zmq://HOST:PORT[/STREAM]``."""
    address = Address(uri, options)
    size = address.take_sensor_size(sensor_size)
    live = address.take_live_options(packet_us, LiveOptions(clock_rate=0.0))
    address.finish()
    feed = ZmqFeed(
        f"tcp://{address.host or '127.0.0.1'}:{address.port}",
        size,
        stream=address.path.strip("/"),
        wait_s=live.connect_us / 1e6,
    )
    return LiveSource(feed, live)
