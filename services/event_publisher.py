"""Publishes events over ZeroMQ as a service does, without an engine: for ``replay --to-uri``.

The same topics and headers as those of a service, kind ``events``; packets without events are
sent too, so that a silent scene goes on at the other end.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import zmq

from streamvdib.errors import ConfigurationError, ServiceError
from streamvdib.events import EVENT_DTYPE, EventPacket, SensorSize

from .addresses import check_exposure, parse_address
from .clocks import boot_id
from .messages import Header, checked_stream_name, encode_header, topic
from .publisher import Publisher

DEFAULT_STREAM = "replay"
EVENTS_PER_MESSAGE = 1 << 12
TYPICAL_BYTES = 1 << 14  # a packet of a millisecond; decides how many messages may wait
_FIELDS = {name: EVENT_DTYPE[name].str for name in EVENT_DTYPE.names or ()}


class EventPublisher:
    """Sends packets to whoever subscribes. Memory: what slow subscribers may hold back."""

    def __init__(self, address: str, sensor_size: SensorSize, *, stream: str) -> None:
        """Bind.

        Raises:
            ServiceError: the address is not free.
        """
        self.counters = {"events": 0, "messages": 0}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._description: dict[str, Any] = {"sensor": list(sensor_size), "source": "replay"}
        self._publisher = Publisher(
            self._context,
            [stream],
            {stream: self._description},
            message_bytes=TYPICAL_BYTES,
            secure=lambda _socket: None,
        )
        try:
            self.address = self._publisher.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise ServiceError(f"{address} must be free to publish on; {error}") from error
        self._template = Header(
            kind="events",
            stream=stream,
            run=secrets.token_hex(8),
            sequence=0,
            step=0,
            start_us=0,
            end_us=0,
            wall_us=0,
            monotonic_ns=0,
            boot=boot_id(),
            fields=_FIELDS,
        )
        self._n_sent = 0

    def await_reader(self, seconds: float) -> bool:
        """Wait for the first subscriber, so long at most; whether there is one.

        What is sent before somebody subscribes reaches nobody, the first message with its
        description of the sensor among it.
        """
        give_up_s = time.monotonic() + seconds
        while not self._publisher.has_subscribers:
            remaining_s = give_up_s - time.monotonic()
            if remaining_s <= 0:
                return False
            self._publisher.socket.poll(round(remaining_s * 1000) + 1)
            self._publisher.serve_subscriptions()
        return True

    def publish(self, packet: EventPacket) -> None:
        """Send one packet, in several messages if it is long."""
        self._publisher.serve_subscriptions()
        events = packet.events
        for start in range(0, max(1, len(events)), EVENTS_PER_MESSAGE):
            part = events[start : start + EVENTS_PER_MESSAGE]
            is_last = start + len(part) == len(events)
            end_us = packet.end_us if is_last else int(part["t_us"][-1])
            header = replace(
                self._template,
                sequence=self._n_sent,
                start_us=int(part["t_us"][0]) if len(part) else end_us,
                end_us=end_us,
                wall_us=time.time_ns() // 1000,
                monotonic_ns=time.monotonic_ns(),
                shape=part.shape,
                bytes=part.nbytes,
                description=self._description if self._n_sent == 0 else None,
            )
            payload = np.ascontiguousarray(part).tobytes()
            name = topic(header.stream, "events")
            self._publisher.send([name, encode_header(header), payload])
            self._n_sent += 1
        self.counters["events"] += len(events)
        self.counters["messages"] = self._n_sent

    def close(self) -> None:
        """Give what is queued a moment to leave, then close; safe to call twice."""
        if not self._context.closed:
            self._publisher.close()
            self._context.term()


def open_event_publisher(uri: str, sensor_size: SensorSize) -> EventPublisher:
    """Bind ``zmq://HOST:PORT[/STREAM]`` on this machine."""
    parts = urlsplit(uri)
    if parts.port is None:
        raise ConfigurationError(f"{uri}: an address must name a port, as in zmq://127.0.0.1:5556")
    address = parse_address(f"tcp://{parts.hostname or '127.0.0.1'}:{parts.port}", "--to-uri")
    check_exposure(address, "--to-uri", has_curve=False, insecure="insecure" in parts.query)
    stream = checked_stream_name(parts.path.strip("/") or DEFAULT_STREAM)
    return EventPublisher(address.text, sensor_size, stream=stream)
