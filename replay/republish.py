"""Sends a recording out as a live source, so that every live way in can be tried without a camera.

udp://HOST:PORT[?format=spif|faery64|faery32&times=0&batch=64]    zmq://HOST:PORT
dv://HOST:PORT                                                    stdout or -[?format=csv]
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys
from typing import BinaryIO, Protocol, runtime_checkable

import numpy as np

from streamvdib.errors import ConfigurationError, SinkError
from streamvdib.events import EventArray, EventPacket, SensorSize
from streamvdib.sources.address import Address
from streamvdib.sources.spif import LAYOUT_TIME_BITS, encode_spif

from .writers import ENCODERS
from .writers.encoder import Encoder
from .writers.files import earlier
from .writers.text import text_lines

DEFAULT_BATCH = 64  # events in a datagram: 512 bytes of SPIF words, as aestream sends them


class Publisher(Protocol):
    """Where packets go out. What cannot be delivered is counted by the receiver or here."""

    @property
    def counters(self) -> dict[str, int]:
        """Events sent, and what else is worth counting."""

    def publish(self, packet: EventPacket) -> None:
        """Send one packet.

        Raises:
            SinkError: nobody reads any more.
        """

    def close(self) -> None:
        """Send what is left and close; safe to call twice."""


@runtime_checkable
class KnowsReaders(Protocol):
    """A way out that is told who listens."""

    def await_reader(self, seconds: float) -> bool:
        """Wait for the first reader, so long at most; whether there is one."""


class UdpPublisher:
    """Datagrams of event words. Memory: one packet."""

    def __init__(
        self, host: str, port: int, *, layout: str = "spif", with_times: bool = True, batch: int
    ) -> None:
        if layout not in LAYOUT_TIME_BITS:
            raise ConfigurationError(
                f"format must be one of: {', '.join(LAYOUT_TIME_BITS)}; got {layout}"
            )
        if not 1 <= batch <= 1000:
            raise ConfigurationError(f"batch must be 1 to 1000 events a datagram; got {batch}")
        self.counters = {"events": 0, "datagrams": 0, "refused_datagrams": 0}
        self._layout = layout
        self._with_times = with_times
        self._batch = batch
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.connect((host, port))
        except OSError as error:
            raise SinkError(f"udp://{host}:{port}: the address must exist; {error}") from error

    def publish(self, packet: EventPacket) -> None:
        """Send the events, ``batch`` to a datagram; a datagram nobody waits for is counted."""
        data, event_bytes = self._encode(packet.events)
        step = self._batch * event_bytes
        for start in range(0, len(data), step):
            try:
                self._socket.send(data[start : start + step])
            except ConnectionRefusedError:  # of the datagram before: nobody listens
                self.counters["refused_datagrams"] += 1
                with contextlib.suppress(ConnectionRefusedError):
                    self._socket.send(data[start : start + step])
            self.counters["datagrams"] += 1
        self.counters["events"] += len(packet.events)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _encode(self, events: EventArray) -> tuple[memoryview, int]:
        if self._layout == "spif":
            words = encode_spif(events, with_times=self._with_times)
            return words.data.cast("B"), 8 if self._with_times else 4
        if self._layout == "faery64":
            return memoryview(events.tobytes()), 13
        packed = np.empty(len(events), dtype=[("t", "<u4"), ("x", "<u2"), ("y_on", "<u2")])
        packed["t"], packed["x"] = events["t_us"] & 0xFFFFFFFF, events["x"]
        packed["y_on"] = (events["y"] << 1) | events["on"]
        return memoryview(packed.tobytes()), 8


class StreamPublisher:
    """Bytes of a file format on a stream such as standard output. Memory: one packet."""

    def __init__(self, file: BinaryIO, encoder: Encoder | None, *, zero_time: bool = False) -> None:
        """Write to ``file``; without an encoder plain lines as aestream prints them.

        With ``zero_time`` the first event is at zero.
        """
        self.counters = {"events": 0}
        self._file = file
        self._origin_us: int | None = None if zero_time else 0
        self._encoder = encoder
        self._write(b"" if encoder is None else encoder.header())

    def publish(self, packet: EventPacket) -> None:
        """Write the packet and pass it on at once."""
        if self._origin_us is None and len(packet.events):
            self._origin_us = int(packet.events[0]["t_us"])
        if self._origin_us:
            packet = earlier(packet, self._origin_us)
        encoder = self._encoder
        self._write(text_lines(packet.events) if encoder is None else encoder.encode(packet))
        self.counters["events"] += len(packet.events)

    def close(self) -> None:
        """Flush; the stream itself belongs to who opened it."""
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except BrokenPipeError as error:
            raise SinkError("standard output must have a reader; it has gone") from error


def open_publisher(uri: str, sensor_size: SensorSize, *, zero_time: bool = False) -> Publisher:
    """Open a way out; ``zero_time`` is for standard output.

    Raises:
        ConfigurationError: the address cannot be meant.
    """
    scheme = uri.partition(":")[0].partition("?")[0]
    if scheme in ("-", "stdout"):
        return _stdout(uri, sensor_size, zero_time)
    if scheme == "udp":
        return _udp(uri)
    if scheme == "dv":
        from .dv_publisher import DvPublisher

        address = Address(uri)
        address.finish()
        return DvPublisher(address.host or "127.0.0.1", address.port, sensor_size)
    if scheme == "zmq":
        module = importlib.import_module("..services.event_publisher", __package__)
        publisher: Publisher = module.open_event_publisher(uri, sensor_size)
        return publisher
    raise ConfigurationError(
        "--to-uri must begin with udp://, zmq://, dv://, be stdout, or name a file that ends in "
        f"{', '.join(ENCODERS)}; got {uri}"
    )


def _udp(uri: str) -> UdpPublisher:
    address = Address(uri)
    layout = address.take("format", str, "spif")
    with_times = address.take("times", int, 1)
    batch = address.take("batch", int, DEFAULT_BATCH)
    address.take_sensor_size(None)  # so that one address serves both sides
    address.finish()
    return UdpPublisher(
        address.host or "127.0.0.1",
        address.port,
        layout=layout,
        with_times=bool(with_times),
        batch=batch,
    )


def _stdout(uri: str, sensor_size: SensorSize, zero_time: bool) -> StreamPublisher:
    address = Address(uri)
    name = address.take("format", str, "")
    address.finish()
    if name and f".{name}" not in ENCODERS:
        known = ", ".join(suffix[1:] for suffix in ENCODERS)
        raise ConfigurationError(f"{uri}: format must be one of {known}; got {name}")
    encoder = None
    if name:
        module = importlib.import_module(f".writers.{ENCODERS[f'.{name}']}", __package__)
        encoder = module.Encoder(sensor_size)
    return StreamPublisher(sys.stdout.buffer, encoder, zero_time=zero_time)
