"""Events that come as UDP datagrams, from aestream, faery or this project's own replay.

    udp://0.0.0.0:3333?width=346&height=260

The kernel's buffer is asked to be large, is emptied in bulk by the reading thread, and what it
had to drop is read from the kernel itself: nothing is lost without being counted.
"""

from __future__ import annotations

import select
import socket
import struct
import time

import numpy as np

from streamvdib.errors import ConfigurationError, LiveSourceError
from streamvdib.events import EventArray, SensorSize, empty_events
from streamvdib.sources.address import Address
from streamvdib.sources.clock import Clock, SystemClock
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveOptions, LiveSource
from streamvdib.sources.spif import LAYOUT_TIME_BITS, WORD_BYTES, decode_faery, decode_spif

RECEIVE_BUFFER_BYTES = 64 << 20
MAX_DATAGRAM = 16 << 10
BATCH_BYTES = 4 << 20
MAX_DATAGRAMS = 8192
COALESCE_S = 0.0005
_SO_MEMINFO = 55  # Linux: nine u32 of which the last counts datagrams dropped by the socket
_SO_RCVBUFFORCE = 33


class UdpFeed:
    """Receives datagrams of event words.

    Memory: ``BATCH_BYTES`` here, and the kernel's buffer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        sensor_size: SensorSize,
        *,
        layout: str = "spif",
        clock: Clock | None = None,
    ) -> None:
        if layout not in LAYOUT_TIME_BITS:
            raise ConfigurationError(
                f"format must be one of: {', '.join(LAYOUT_TIME_BITS)}; got {layout}"
            )
        self.name = f"udp://{host}:{port}"
        self.sensor_size = sensor_size
        self.time_bits = LAYOUT_TIME_BITS[layout]
        self.counters = dict.fromkeys(
            (
                "datagrams",
                "datagrams_too_long",
                "datagrams_odd_sized",
                "events_cut_off",
                "events_without_time",
                "lost_datagrams",
            ),
            0,
        )
        self._address = (host, port)
        self._layout = layout
        self._clock = clock or SystemClock()
        self._socket: socket.socket | None = None
        self._n_kernel_drops = 0
        self._words = np.empty(BATCH_BYTES // 4, dtype="<u4")
        self._bytes = self._words.data.cast("B")
        self._starts = np.empty(MAX_DATAGRAMS, dtype=np.int64)  # bytes, multiples of four
        self._stops = np.empty(MAX_DATAGRAMS, dtype=np.int64)

    @property
    def port(self) -> int:
        """The port in use, which the system chose if 0 was asked for."""
        return self._address[1] if self._socket is None else int(self._socket.getsockname()[1])

    def open(self) -> None:
        """Bind the socket; ``LiveSourceError`` if the address is taken or not ours."""
        decode_spif(self._words, self._starts[:0], self._stops[:0], 0)  # compiles, before all
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            _enlarge(receiver)
            receiver.bind(self._address)
        except OSError as error:
            receiver.close()
            raise LiveSourceError(
                f"{self.name}: the address must be free and of this machine; {error}"
            ) from error
        receiver.setblocking(False)
        self._socket = receiver
        self._n_kernel_drops = 0

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._count_losses(self._socket)
            self._socket.close()
            self._socket = None

    def read(self, timeout_s: float) -> Batch:
        """Everything that has come, after waiting for the first datagram."""
        receiver = self._socket
        if receiver is None:
            raise LiveSourceError(f"{self.name}: a socket must be opened before it is read")
        poll = select.poll()
        poll.register(receiver, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            self._count_losses(receiver)
            return Batch(empty_events())
        time.sleep(COALESCE_S)  # a few more come meanwhile: one pass costs less than many
        n_datagrams = self._receive_all(receiver)
        self._count_losses(receiver)
        return Batch(self._decode(n_datagrams))

    def _receive_all(self, receiver: socket.socket) -> int:
        """Empty the kernel's buffer into ours; how many datagrams are of use."""
        fill = n_datagrams = 0
        while n_datagrams < MAX_DATAGRAMS and fill + MAX_DATAGRAM <= BATCH_BYTES:
            try:
                length = receiver.recv_into(
                    self._bytes[fill : fill + MAX_DATAGRAM], MAX_DATAGRAM, socket.MSG_TRUNC
                )
            except BlockingIOError:
                break
            self.counters["datagrams"] += 1
            if length > MAX_DATAGRAM:
                self.counters["datagrams_too_long"] += 1
                continue
            if length % WORD_BYTES[self._layout]:
                self.counters["datagrams_odd_sized"] += 1
            self._starts[n_datagrams], self._stops[n_datagrams] = fill, fill + length
            n_datagrams += 1
            fill += (length + 3) & ~3
        return n_datagrams

    def _decode(self, n_datagrams: int) -> EventArray:
        starts, stops = self._starts[:n_datagrams], self._stops[:n_datagrams]
        if self._layout != "spif":
            parts = [
                decode_faery(self._bytes[start:stop], self._layout)
                for start, stop in zip(starts, stops, strict=True)
            ]
            return np.concatenate([empty_events(), *parts])
        events, n_untimed, n_cut = decode_spif(
            self._words, starts // 4, stops // 4, self._clock.now_us()
        )
        self.counters["events_without_time"] += n_untimed
        self.counters["events_cut_off"] += n_cut
        return events

    def _count_losses(self, receiver: socket.socket) -> None:
        """Ask the kernel how many datagrams it had no room for."""
        try:
            figures = struct.unpack("9I", receiver.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
        except (OSError, struct.error):  # not Linux, or an old one: it does not say
            return
        self.counters["lost_datagrams"] += (figures[8] - self._n_kernel_drops) % (1 << 32)
        self._n_kernel_drops = figures[8]


def _enlarge(receiver: socket.socket) -> None:
    """Ask for a large buffer, beyond the system's limit if we may."""
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except OSError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def open_udp(
    uri: str,
    *,
    sensor_size: SensorSize | None = None,
    packet_us: int = 10_000,
    lenient: bool = False,  # noqa: ARG001 - a live source is always lenient
    **options: object,
) -> LiveSource:
    """Open ``udp://HOST:PORT?width=W&height=H[&format=spif|faery64|faery32]``."""
    address = Address(uri, options)
    size = address.need_sensor_size(sensor_size, "datagrams do not tell it")
    layout = address.take("format", str, "spif")
    live = address.take_live_options(packet_us, LiveOptions())
    address.finish()
    feed = UdpFeed(address.host or "127.0.0.1", address.port, size, layout=layout)
    return LiveSource(feed, live)
