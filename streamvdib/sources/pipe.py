"""Events from standard input (``-``) or a named pipe.

    aestream input inivation output stdout | streamvdib run - --sensor-size 346x260

A pipe can hold its writer up, so a full queue does that and drops nothing (``overflow=drop``
in the address changes it). The end of standard input is the end of the stream; when the writer
of a named pipe goes, the next one is waited for, unless the address says ``once=1``. Nothing is
known of how fast the writer's clock runs, so a silent scene waits for the next event;
``watermark=1`` says that a camera is behind the pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import sys
import time

from streamvdib.errors import ConfigurationError, LiveSourceError, UnknownFormatError
from streamvdib.events import EventArray, SensorSize, empty_events
from streamvdib.sources.address import Address
from streamvdib.sources.byte_recognition import AnyDecoder
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveOptions, LiveSource

READ_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux


class PipeFeed:
    """Reads a pipe in any format of ``byte_recognition``. Memory: the decoder's, and one read."""

    time_bits = 64

    def __init__(
        self,
        path: str,
        sensor_size: SensorSize | None,
        *,
        once: bool = False,
        head_s: float = 5.0,
    ) -> None:
        """A pipe that is not opened yet.

        Args:
            path: of the named pipe, or ``-`` for standard input.
            sensor_size: None to wait until the stream tells it.
            once: the end of the writer is the end of the stream.
            head_s: how long to wait for a stream to tell the sensor's size.
        """
        self.name = "standard input" if path == "-" else path
        self.counters = {"malformed": 0, "bytes_cut_off": 0}
        self._path = path
        self._size = sensor_size
        self._once = once or path == "-"
        self._head_s = head_s
        self._descriptor: int | None = None
        self._decoder = AnyDecoder(self.name)
        self._first = empty_events()  # that came while waiting for the header
        self._n_malformed = 0  # of earlier writers

    @property
    def sensor_size(self) -> SensorSize:
        """As given, or as the stream told."""
        if self._size is None:
            raise ConfigurationError(f"{self.name}: must be opened before its size is known")
        return self._size

    def open(self) -> None:
        """Open the pipe, and wait for its header if the sensor's size is not given."""
        self._descriptor = _open_pipe(self._path)
        self._decoder = AnyDecoder(self.name)
        deadline = time.monotonic() + self._head_s
        while self._size is None:
            data = self._read_bytes(max(0.0, deadline - time.monotonic()))
            if data is None:
                raise LiveSourceError(
                    f"{self.name}: a stream must begin within {self._head_s:g} s, so that the "
                    f"sensor's size is known; {self._decoder.n_rest} bytes came. Start the writer, "
                    "or give --sensor-size 346x260."
                )
            self._first = self._decoder.decode(data, ended=not data)
            self._size = self._decoder.sensor_size
            if not data and not self._decoder.is_recognised:
                raise LiveSourceError(
                    f"{self.name}: a stream must hold events; it ended without a byte. See what "
                    "its writer says."
                )
            if self._decoder.is_recognised and self._size is None:
                raise ConfigurationError(
                    f"{self.name}: the sensor's size must be given, because this format does not "
                    "tell it. Use --sensor-size 346x260."
                )

    def read(self, timeout_s: float) -> Batch | None:
        """Events of the bytes that have come."""
        if len(self._first):
            events, self._first = self._first, empty_events()
            return Batch(events, self._decoder.end_us)
        data = self._read_bytes(timeout_s)
        if data is None:
            return Batch(empty_events())
        if data == b"":
            return self._writer_gone()
        return self._batch(self._decoder.decode(data))

    def close(self) -> None:
        """Close the pipe; standard input stays open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _batch(self, events: EventArray) -> Batch:
        self.counters["malformed"] = self._n_malformed + self._decoder.n_malformed
        return Batch(events, self._decoder.end_us)

    def _writer_gone(self) -> Batch | None:
        """The last events; then the end of the stream, or an error so that we wait for more."""
        n_rest = self._decoder.n_rest
        try:
            events = self._decoder.decode(b"", ended=True)
            n_rest = self._decoder.n_rest
        except UnknownFormatError:
            if self._once:
                raise
            events = empty_events()
        batch = self._batch(events)
        self.counters["bytes_cut_off"] += n_rest
        self._n_malformed = self.counters["malformed"]
        self._decoder = AnyDecoder(self.name)
        if len(batch.events):
            return batch
        if self._once:
            return None
        raise LiveSourceError(f"{self.name}: a pipe must have a writer; it has gone")

    def _read_bytes(self, timeout_s: float) -> bytes | None:
        """What has come; None if nothing did, and no bytes if the writer has gone."""
        if self._descriptor is None:
            raise LiveSourceError(f"{self.name}: a pipe must be opened before it is read")
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return None
        try:
            return os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return None


def _open_pipe(path: str) -> int:
    """A descriptor that does not wait for a writer."""
    try:
        descriptor = os.dup(sys.stdin.fileno()) if path == "-" else _open_named(path)
    except (OSError, ValueError) as error:
        raise LiveSourceError(
            f"{path}: a pipe must be open for reading; {error}. Make one with mkfifo."
        ) from error
    with contextlib.suppress(OSError):  # a larger pipe is welcome, not needed; a file has none
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, READ_BYTES)
    return descriptor


def _open_named(path: str) -> int:
    if not stat.S_ISFIFO(os.stat(path).st_mode):
        raise LiveSourceError(
            f"{path}: a named pipe must be one; this is not. Open a recording by its path alone."
        )
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def open_pipe(
    uri: str,
    *,
    sensor_size: SensorSize | None = None,
    packet_us: int = 10_000,
    lenient: bool = False,  # noqa: ARG001 - a live source is always lenient
    **options: object,
) -> LiveSource:
    """Open ``-`` or ``pipe:PATH[?once=1&overflow=drop&watermark=1]``."""
    address = Address(uri, options)
    size = address.take_sensor_size(sensor_size)
    once = address.take("once", int, 0)
    overflow = address.take("overflow", str, "block")
    if overflow not in ("block", "drop"):
        raise ConfigurationError(f"{uri}: overflow must be block or drop; got {overflow!r}")
    live = address.take_live_options(
        packet_us, LiveOptions(is_blocking=overflow == "block", clock_rate=0.0)
    )
    address.finish()
    path = address.path
    return LiveSource(PipeFeed(path, size, once=bool(once), head_s=live.connect_us / 1e6), live)
