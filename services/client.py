"""Frames of a running service as NumPy arrays, blocking or with asyncio.

    with FrameClient("tcp://127.0.0.1:5555") as client:
        for frame in client:
            print(frame.header.step, frame.pixels.mean(), frame.latency_us, frame.n_missed)

Connections are made again by themselves; a service that was restarted shows as ``is_restart``.
"""

from __future__ import annotations

import collections
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Any

import zmq
import zmq.asyncio

from streamvdib.errors import ConfigurationError

from .keys import KeyPair
from .messages import KINDS, SERVICE_STREAM
from .publisher import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
from .tracking import Received, Tracker, newest_of

_DRAIN_LIMIT = 1000
_MAX_MESSAGE_BYTES = 64 << 20


def subscriptions(streams: Sequence[str], kinds: Sequence[str]) -> list[bytes]:
    """Topic prefixes of these kinds of these streams; of every stream if none is named."""
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(f"kinds must be among {', '.join(KINDS)}; got {kind!r}")
    prefixes = [f"{kind}/{s}/".encode() for kind in kinds for s in streams]
    if not streams:
        prefixes = [f"{kind}/".encode() for kind in kinds]
    return [*prefixes, f"heartbeat/{SERVICE_STREAM}/".encode()]


def connect_securely(
    socket: zmq.Socket[Any] | zmq.asyncio.Socket, server_key: bytes | None, keys: KeyPair | None
) -> None:
    """Give a client's socket its CURVE keys; a fresh pair if only the server's key is given."""
    if server_key is None:
        return
    public, secret = (keys.public, keys.secret) if keys else zmq.curve_keypair()
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)


def _prepare(
    socket: zmq.Socket[Any] | zmq.asyncio.Socket, queue: int, prefixes: Sequence[bytes]
) -> None:
    options = {
        zmq.RCVHWM: queue,
        zmq.MAXMSGSIZE: _MAX_MESSAGE_BYTES,
        zmq.LINGER: 0,
        zmq.RECONNECT_IVL: 100,
        zmq.RECONNECT_IVL_MAX: 500,
        zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
        zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    }
    for option, value in options.items():
        socket.setsockopt(option, value)
    for prefix in prefixes:
        socket.setsockopt(zmq.SUBSCRIBE, prefix)


class _Inbox:
    """What both clients share: following messages, and choosing the newest."""

    def __init__(self, newest: bool) -> None:
        self.tracker = Tracker()
        self.n_skipped = 0
        self._newest = newest
        self._ready: collections.deque[Received] = collections.deque()

    def take(self) -> Received | None:
        """The next message that is ready."""
        return self._ready.popleft() if self._ready else None

    def put(self, arrived: list[list[bytes]]) -> None:
        """Follow messages that have arrived."""
        found = [m for parts in arrived if (m := self.tracker.follow(parts)) is not None]
        chosen = newest_of(found) if self._newest else found
        self.n_skipped += len(found) - len(chosen)
        self._ready.extend(chosen)

    @property
    def drain(self) -> int:
        """How many messages to read at once."""
        return _DRAIN_LIMIT if self._newest else 1


class FrameClient:
    """Subscribes to a service; blocking.

    Args:
        address: of the service's data socket.
        streams: which; empty is every one.
        kinds: among frame, spikes, events, stats.
        newest: skip to the newest message of each topic when behind; otherwise every message.
        queue: messages that may wait here; what comes beyond them is missed.
        server_key: the service's public key, with CURVE.
        keys: this client's, which the service must know.
    """

    def __init__(
        self,
        address: str,
        *,
        streams: Sequence[str] = (),
        kinds: Sequence[str] = ("frame",),
        newest: bool = True,
        queue: int = 1000,
        server_key: bytes | None = None,
        keys: KeyPair | None = None,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        _prepare(self._socket, queue, subscriptions(streams, kinds))
        connect_securely(self._socket, server_key, keys)
        self._socket.connect(address)
        self._inbox = _Inbox(newest)

    @property
    def tracker(self) -> Tracker:
        """Totals: received, missed, restarts, latency, and the state of the service."""
        return self._inbox.tracker

    @property
    def n_skipped(self) -> int:
        """Messages that came and gave way to newer ones."""
        return self._inbox.n_skipped

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """The next message; None if none came within ``timeout_s``."""
        give_up_s = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self._inbox.take()) is None:
            wait_ms = None if give_up_s is None else int((give_up_s - time.monotonic()) * 1000)
            if wait_ms is not None and wait_ms < 0:
                return None
            if self._socket.poll(wait_ms):
                self._inbox.put(self._arrived())
            elif wait_ms is not None:
                return None
        return message

    def __iter__(self) -> Iterator[Received]:
        """Messages for ever; ``break`` when you have enough."""
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._socket.close(linger=0)
        self._context.term()

    def __enter__(self) -> FrameClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _arrived(self) -> list[list[bytes]]:
        arrived: list[list[bytes]] = []
        while len(arrived) < self._inbox.drain:
            try:
                arrived.append(self._socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                break
        return arrived


class AsyncFrameClient:
    """``FrameClient`` for asyncio: ``async with`` and ``async for``; same arguments."""

    def __init__(
        self,
        address: str,
        *,
        streams: Sequence[str] = (),
        kinds: Sequence[str] = ("frame",),
        newest: bool = True,
        queue: int = 1000,
        server_key: bytes | None = None,
        keys: KeyPair | None = None,
    ) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.SUB)
        _prepare(self._socket, queue, subscriptions(streams, kinds))
        connect_securely(self._socket, server_key, keys)
        self._socket.connect(address)
        self._inbox = _Inbox(newest)

    @property
    def tracker(self) -> Tracker:
        """Totals: received, missed, restarts, latency, and the state of the service."""
        return self._inbox.tracker

    @property
    def n_skipped(self) -> int:
        """Messages that came and gave way to newer ones."""
        return self._inbox.n_skipped

    async def receive(self) -> Received:
        """The next message; cancel it, or use ``asyncio.timeout``, to wait no longer."""
        while (message := self._inbox.take()) is None:
            arrived = [await self._socket.recv_multipart()]
            while len(arrived) < self._inbox.drain and await self._socket.poll(0):
                arrived.append(await self._socket.recv_multipart())
            self._inbox.put(arrived)
        return message

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Messages for ever; ``break`` when you have enough."""
        while True:
            yield await self.receive()

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._socket.close(linger=0)
        self._context.term()

    async def __aenter__(self) -> AsyncFrameClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
