"""The data socket: an XPUB whose slow subscribers cost frames and never memory.

A newcomer, and only the newcomer, is sent the last message of each kind it subscribes to, on
the topic that ends in ``last``: the socket is in manual mode, so each peer is subscribed here
to the ``live`` topics that its prefix names, and to ``last`` for the length of one send.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgpack
import zmq

from .bounds import pack
from .limits import TokenBucket
from .messages import KINDS, SERVICE_STREAM, ZMTP_HEARTBEAT_MS, ZMTP_PATIENCE_MS, topic

MAX_SUBSCRIPTION_BYTES = 256
MAX_HANDSHAKE_BYTES = 512
"""The limit holds for CURVE's handshake too, whose INITIATE command has some 310 bytes."""

MAX_SUBSCRIPTIONS = 20_000
HEARTBEAT_MS = 200
COPY_BELOW_BYTES = 65536
"""Shorter payloads are copied sooner than they are tracked."""

QUEUE_BYTES = 12 << 20
"""About what one subscriber that does not read may hold back in the service."""

Parts = Sequence[Any]
"""``[topic, header, payload]`` as bytes or ZeroMQ frames."""


def queue_length(message_bytes: int) -> int:
    """How many messages wait for one slow subscriber: small ones more, large ones 4.

    Args:
        message_bytes: length of the largest message.
    """
    return max(4, min(256, QUEUE_BYTES // max(1, message_bytes)))


class Publisher:
    """Owns the XPUB socket; used by one thread.

    Memory: the last message of each topic, and ``queue_length`` messages per slow subscriber.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        streams: Sequence[str],
        descriptions: Mapping[str, Mapping[str, Any]],
        *,
        message_bytes: int,
        secure: Callable[[zmq.Socket[bytes]], None],
    ) -> None:
        self._context = context
        self._descriptions = descriptions  # may change while it runs
        self._topics = [(stream, kind) for stream in streams for kind in KINDS]
        self._topics.append((SERVICE_STREAM, "heartbeat"))
        self._message_bytes = message_bytes
        self._secure = secure
        self._last: dict[bytes, Parts] = {}
        self._newcomers = TokenBucket(rate_hz=200.0, burst=400)
        self._n_subscriptions = 0
        self._address = ""
        self.n_newcomers_unserved = 0
        self.n_resets = 0
        self.socket = self._new_socket()

    def bind(self, address: str) -> str:
        """Bind and return the address with its port filled in."""
        self.socket.bind(address)
        self._address = self.socket.get_string(zmq.LAST_ENDPOINT)
        return self._address

    @property
    def has_subscribers(self) -> bool:
        """Whether somebody subscribes, of those whose subscriptions were read."""
        return self._n_subscriptions > 0

    def send(self, parts: Parts) -> None:
        """Hand one message to every subscriber that keeps up, and remember it for newcomers."""
        self._last[bytes(parts[0])] = parts
        with contextlib.suppress(zmq.Again):
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=len(parts[2]) < COPY_BELOW_BYTES)

    def serve_subscriptions(self, limit: int = 100) -> None:
        """Read up to ``limit`` subscriptions that have come in."""
        for _ in range(limit):
            try:
                request = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if request[:1] == b"\x01":
                self._subscribe(request[1:])
            elif request[:1] == b"\x00":
                self._unsubscribe(request[1:])
            if self._n_subscriptions > MAX_SUBSCRIPTIONS:
                self.reset()
                return

    def close(self) -> None:
        """Give what is queued a moment to leave, then close."""
        self.socket.close(linger=200)

    def _new_socket(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.XPUB)
        socket.setsockopt(zmq.XPUB_MANUAL, 1)
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        socket.setsockopt(zmq.SNDHWM, queue_length(self._message_bytes))
        socket.setsockopt(zmq.RCVHWM, 1000)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, ZMTP_HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, ZMTP_PATIENCE_MS)
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 5)
        socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 2)
        socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
        socket.setsockopt(zmq.LINGER, 0)
        self._secure(socket)
        if socket.getsockopt(zmq.CURVE_SERVER):
            socket.setsockopt(zmq.MAXMSGSIZE, MAX_HANDSHAKE_BYTES)
        return socket

    def reset(self) -> None:
        """Start the socket anew: the only way to forget a flood of subscriptions.

        Whoever flooded is cut off with everyone else; honest clients are back within a second.
        """
        self.socket.close(linger=0)
        self.socket = self._new_socket()
        bind_again(self.socket, self._address)
        self._n_subscriptions = 0
        self.n_resets += 1

    def _subscribe(self, prefix: bytes) -> None:
        """Subscribe the peer whose request was read last."""
        self._n_subscriptions += 1
        wanted = [pair for pair in self._topics if _wants(prefix, pair)]
        for stream, kind in wanted:
            if topic(stream, kind, last=True).startswith(prefix):
                self._welcome(stream, kind)
        for stream, kind in wanted:
            if topic(stream, kind).startswith(prefix):
                self.socket.setsockopt(zmq.SUBSCRIBE, topic(stream, kind))

    def _unsubscribe(self, prefix: bytes) -> None:
        self._n_subscriptions -= 1
        for stream, kind in self._topics:
            if topic(stream, kind).startswith(prefix):
                self.socket.setsockopt(zmq.UNSUBSCRIBE, topic(stream, kind))

    def _welcome(self, stream: str, kind: str) -> None:
        """Send the last message of ``kind`` to the newcomer alone, with the description."""
        remembered = self._last.get(topic(stream, kind))
        if remembered is None:
            return
        if not self._newcomers.take():
            self.n_newcomers_unserved += 1
            return
        _, header, payload = remembered
        values = msgpack.unpackb(bytes(header), raw=False)
        if stream != SERVICE_STREAM:
            values["description"] = self._descriptions.get(stream, {})
        address = topic(stream, kind, last=True)
        self.socket.setsockopt(zmq.SUBSCRIBE, address)
        with contextlib.suppress(zmq.Again):
            self.socket.send_multipart([address, pack(values), payload], zmq.NOBLOCK)
        self.socket.setsockopt(zmq.UNSUBSCRIBE, address)


def bind_again(socket: zmq.Socket[bytes], address: str, patience_s: float = 2.0) -> None:
    """Bind to an address that a socket just closed still holds for some milliseconds."""
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            socket.bind(address)
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE or time.monotonic() > give_up_s:
                raise
            time.sleep(0.005)


def _wants(prefix: bytes, pair: tuple[str, str]) -> bool:
    live, last = topic(*pair), topic(*pair, last=True)
    return live.startswith(prefix) or last.startswith(prefix)
