"""From the engine's thread to the I/O thread: messages with their sequence numbers."""

from __future__ import annotations

import collections
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .bounds import pack
from .messages import Header, header_values, topic

_CAPACITY = 256
_PATIENCE_S = 0.5

Parts = list[bytes | memoryview]


class Outbox:
    """Numbers messages and hands them over. Memory: 256 messages.

    A number is spent even on a message that is dropped, so that the gap shows.

    Args:
        template: what all headers share (run, boot, model, seed).
        descriptions: of every stream, sent with the first message of each topic.
    """

    def __init__(self, template: Header, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
        self._values = header_values(template)
        self._descriptions = descriptions
        self._sequences: dict[tuple[str, str], int] = {}
        self._waiting: collections.deque[Parts] = collections.deque()
        self._room = threading.Event()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.n_dropped = 0

    @property
    def wake_fd(self) -> int:
        """Readable while messages may wait; for the I/O thread's poller."""
        return self._wake

    @property
    def n_waiting(self) -> int:
        """Messages that wait for the I/O thread."""
        return len(self._waiting)

    def post(
        self,
        stream: str,
        kind: str,
        values: npt.NDArray[Any] | bytes,
        **described: Any,
    ) -> None:
        """Hand over one message; in the engine's thread.

        Args:
            stream: whose message.
            kind: one of ``messages.KINDS``.
            values: the payload; it must not change afterwards.
            **described: further fields of ``Header``.
        """
        sequence = self._sequences.get((stream, kind), 0)
        self._sequences[stream, kind] = sequence + 1
        header = self._values | described
        if isinstance(values, np.ndarray):
            header |= _description_of(values)
        header["kind"], header["stream"], header["sequence"] = kind, stream, sequence
        header["wall_us"] = time.time_ns() // 1000
        header["monotonic_ns"] = time.monotonic_ns()
        header["bytes"] = values.nbytes if isinstance(values, np.ndarray) else len(values)
        if sequence == 0:
            header["description"] = self._descriptions.get(stream)
        self._hand_over([topic(stream, kind), pack(header), _bytes_of(values)])

    def take(self) -> Parts | None:
        """The next message, ``[topic, header, payload]``; in the I/O thread."""
        try:
            parts = self._waiting.popleft()
        except IndexError:
            return None
        if not self._room.is_set():
            self._room.set()
        return parts

    def heard(self) -> None:
        """Call when ``wake_fd`` was readable, before ``take``."""
        try:
            os.eventfd_read(self._wake)
        except BlockingIOError:
            return

    def wake(self) -> None:
        """Make ``wake_fd`` readable."""
        if self._wake >= 0:
            os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give back the wake-up; what is posted from now on is dropped. Safe to call twice."""
        wake, self._wake = self._wake, -1
        if wake >= 0:
            os.close(wake)

    def _hand_over(self, parts: Parts) -> None:
        if len(self._waiting) >= _CAPACITY:
            self._room.clear()
            if len(self._waiting) >= _CAPACITY and not self._room.wait(_PATIENCE_S):
                self.n_dropped += 1
                return
        self._waiting.append(parts)
        self.wake()


def _description_of(values: npt.NDArray[Any]) -> dict[str, Any]:
    fields = values.dtype.fields
    if fields is None:
        return {"dtype": values.dtype.str, "shape": values.shape}
    names = {name: fields[name][0].str for name in values.dtype.names or ()}
    return {"dtype": "|u1", "fields": names, "shape": values.shape}


def _bytes_of(values: npt.NDArray[Any] | bytes) -> bytes | memoryview:
    if isinstance(values, bytes):
        return values
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1).data
