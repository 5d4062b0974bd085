"""From the engine's thread to the I/O thread: messages with their sequence numbers."""

from __future__ import annotations

import collections
import itertools
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from .messages import Header, encode_header, topic

_CAPACITY = 256
_PATIENCE_MS = 500


class Outbox:
    """Numbers messages and hands them over. Memory: 256 messages.

    Args:
        context: of the service.
        endpoint: inproc address that the I/O thread has bound.
        template: what all headers share (run, boot, model, seed).
        descriptions: of every stream, sent with the first message of each topic.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        template: Header,
        descriptions: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._socket = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, _CAPACITY)
        self._socket.setsockopt(zmq.SNDTIMEO, _PATIENCE_MS)
        self._socket.linger = 0
        self._socket.connect(endpoint)
        self.template = template
        self._descriptions = descriptions
        self._sequences: dict[bytes, itertools.count[int]] = collections.defaultdict(
            itertools.count
        )
        self.n_dropped = 0

    def post(
        self,
        stream: str,
        kind: str,
        values: npt.NDArray[Any] | bytes,
        **described: Any,
    ) -> None:
        """Hand over one message; a number is spent even if it is dropped, so the gap shows.

        Args:
            stream: whose message.
            kind: one of ``messages.KINDS``.
            values: the payload, C-contiguous; it must not change afterwards.
            **described: further fields of ``Header``.
        """
        address = topic(stream, kind)
        sequence = next(self._sequences[address])
        if isinstance(values, np.ndarray):
            described |= _description_of(values)
        header = replace(
            self.template,
            kind=kind,
            stream=stream,
            sequence=sequence,
            wall_us=time.time_ns() // 1000,
            monotonic_ns=time.monotonic_ns(),
            bytes=values.nbytes if isinstance(values, np.ndarray) else len(values),
            description=self._descriptions.get(stream) if sequence == 0 else None,
            **described,
        )
        try:
            self._socket.send_multipart(
                [address, encode_header(header), _bytes_of(values)], copy=False
            )
        except zmq.Again:
            self.n_dropped += 1

    def close(self) -> None:
        """Wait a moment for what is queued, then close."""
        self._socket.close(linger=500)


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
