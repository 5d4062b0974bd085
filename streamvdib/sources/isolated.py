"""Reads a recording in a child process that may hang, crash or ask for too much memory.

For files of unknown origin and readers that are not ours. The child's address space is limited,
each packet has a deadline, and events come back as raw bytes through a pipe. Memory: one packet,
and what the pipe holds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources.isolated_wire import (
    FRAME,
    MAX_FRAME_BYTES,
    read_error,
    read_packet,
)
from streamvdib.sources.options import DEFAULT_PACKET_US

DEFAULT_MEMORY_BYTES = 4 << 30  # of address space, which compiled code and threads take up too
DEFAULT_DEADLINE_S = 60.0
_MOST_LAST_WORDS = 300


def isolated(
    path: str | os.PathLike[str],
    *,
    sensor_size: SensorSize | None = None,
    lenient: bool = False,
    packet_us: int = DEFAULT_PACKET_US,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    deadline_s: float = DEFAULT_DEADLINE_S,
    **options: object,
) -> IsolatedRecording:
    """Open a recording in a child process.

    Args:
        path: of a recording.
        sensor_size: as of ``open_source``.
        lenient: as of ``open_source``.
        packet_us: as of ``open_source``.
        memory_bytes: limit of the child's address space.
        deadline_s: how long opening, and each packet, may take.
        options: as of ``open_source``; strings, numbers and booleans only.

    Raises:
        RecordingError: the recording is bad, or its reader hung, crashed or took too much memory.
    """
    for name, value in options.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ConfigurationError(
                "options of isolated=True must be strings, numbers or booleans; got "
                f"{name}={value!r}"
            )
    name = os.fspath(path)
    request = {
        "path": name,
        "sensor_size": sensor_size,
        "lenient": lenient,
        "packet_us": packet_us,
        "options": options,
        "memory_bytes": memory_bytes,
        "memory_message": f"{name}: reading must take less than {memory_bytes} bytes of memory; it "
        "takes more. Raise memory_bytes, or check that the file is what it should be.",
    }
    return IsolatedRecording(name, request, deadline_s)


class IsolatedRecording:
    """A recording whose reader runs in a child process; each iteration starts one.

    Args:
        name: the path.
        request: what the child is told.
        deadline_s: how long opening, and each packet, may take.
    """

    is_live = False

    def __init__(self, name: str, request: dict[str, Any], deadline_s: float) -> None:
        self.name = name
        self.counters: dict[str, int] = {}
        self._request = request
        self._deadline_s = deadline_s
        self._children: list[_Child] = []
        child, description = self._start()
        self.format_name = str(description["format"])
        self.sensor_size = SensorSize(*map(int, description["sensor_size"]))
        self._waiting: _Child | None = child

    def __iter__(self) -> Iterator[EventPacket]:
        self.counters.clear()
        child, self._waiting = self._waiting, None
        return self._packets(child)

    def close(self) -> None:
        """End all children; iterating again starts a new one."""
        self._waiting = None
        while self._children:
            self._children.pop().kill()

    def _start(self) -> tuple[_Child, dict[str, Any]]:
        child = _Child(self.name, self._request, self._deadline_s)
        self._children.append(child)
        kind, body = self._next(child, "opening it")
        if kind != b"D":
            self._end(child)
            raise RecordingError(
                f"{self.name}: the reader must describe the file first; it did not"
            )
        return child, json.loads(body)

    def _packets(self, child: _Child | None) -> Iterator[EventPacket]:
        if child is None:
            child, _ = self._start()
        end_us: int | None = None
        try:
            while child in self._children:
                after = "at its beginning" if end_us is None else f"after t={end_us} us"
                kind, body = self._next(child, after)
                if kind == b"Z":
                    self.counters.update(json.loads(body))
                    return
                packet = self._packet(body, after)
                end_us = packet.end_us
                yield packet
        finally:
            self._end(child)

    def _packet(self, body: bytes, after: str) -> EventPacket:
        try:
            return read_packet(body)
        except ValueError as error:
            raise RecordingError(
                f"{self.name}, {after}: the reader must send whole packets; {error}"
            ) from error

    def _next(self, child: _Child, place: str) -> tuple[bytes, bytes]:
        try:
            kind, body = child.next_frame(place)
        except RecordingError:
            self._end(child)
            raise
        if kind == b"E":
            self._end(child)
            raise read_error(json.loads(body))
        return kind, body

    def _end(self, child: _Child) -> None:
        child.kill()
        if child in self._children:
            self._children.remove(child)


@dataclass(eq=False)
class _Child:
    """One child process and the pipe from it."""

    name: str
    request: dict[str, Any]
    deadline_s: float
    _pipe: int = field(init=False)
    _poll: select.poll = field(init=False)
    _process: subprocess.Popen[bytes] = field(init=False)
    _words: IO[bytes] = field(init=False)  # what it says on stderr, such as a panic

    def __post_init__(self) -> None:
        self._pipe, write_end = os.pipe()
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        request = json.dumps({**self.request, "fd": write_end})
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streamvdib.sources.isolated_child", request],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=(write_end,),
                env=environment,
            )
        finally:
            os.close(write_end)

    def next_frame(self, place: str) -> tuple[bytes, bytes]:
        """The next frame's kind and body.

        Args:
            place: for messages.
        """
        deadline = time.monotonic() + self.deadline_s
        kind, n_bytes = FRAME.unpack(self._read(FRAME.size, deadline, place))
        if n_bytes > MAX_FRAME_BYTES:
            raise RecordingError(
                f"{self.name}, {place}: a packet must have less than {MAX_FRAME_BYTES} bytes; the "
                f"reader announces {n_bytes}. Use a smaller packet_us."
            )
        return kind, self._read(n_bytes, deadline, place)

    def _read(self, n_bytes: int, deadline: float, place: str) -> bytes:
        data = bytearray()
        while len(data) < n_bytes:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._poll.poll(left_s * 1000):
                raise RecordingError(
                    f"{self.name}, {place}: the reader must give a packet within "
                    f"{self.deadline_s:g} s; it did not and was ended. Check the file, or raise "
                    "deadline_s."
                )
            piece = os.read(self._pipe, min(n_bytes - len(data), 1 << 20))
            if not piece:
                raise RecordingError(f"{self.name}, {place}: {self._last_words()}")
            data += piece
        return bytes(data)

    def _last_words(self) -> str:
        """Why the child ended before its time."""
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._words.seek(0)
        words = self._words.read().decode(errors="replace").strip()[-_MOST_LAST_WORDS:]
        said = f" It said: {words}" if words else ""
        return (
            f"the reader must end in order; it crashed ({how}).{said} Check the file, or raise "
            "memory_bytes if it needs more memory."
        )

    def kill(self) -> None:
        """End the process and give back the pipe; safe to call twice."""
        if self._words.closed:
            return
        self._process.kill()
        self._process.wait()
        os.close(self._pipe)
        self._words.close()
