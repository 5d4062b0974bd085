"""Frames of a running service as NumPy arrays, blocking or with asyncio.

    with FrameClient("tcp://127.0.0.1:5555") as client:
        for frame in client:
            print(frame.header.step, frame.pixels.mean(), frame.latency_us, frame.n_missed)

Connections are made again by themselves; a service that was restarted shows as ``is_restart``.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

import zmq

from streamvdib.errors import ConfigurationError, ServiceError

from .keys import KeyPair
from .messages import KINDS, SERVICE_STREAM
from .reading import Arrived, SocketReader
from .tracking import Received, Tracker, newest_of

_DRAIN_LIMIT = 1000
_QUEUE_NEWEST, _QUEUE_EVERY = 64, 1000
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
    socket: zmq.Socket[Any], server_key: bytes | None, keys: KeyPair | None
) -> None:
    """Give a client's socket its CURVE keys; a fresh pair if only the server's key is given."""
    if server_key is None:
        return
    public, secret = (keys.public, keys.secret) if keys else zmq.curve_keypair()
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)


_OPTIONS = {
    zmq.RCVHWM: 1000,
    zmq.MAXMSGSIZE: _MAX_MESSAGE_BYTES,
    zmq.LINGER: 0,
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 500,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 2,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: 3,
}


class _Subscription:
    """What both clients share: socket, reader, tracker, and choosing the newest."""

    def __init__(
        self,
        address: str,
        prefixes: Sequence[bytes],
        newest: bool,
        queue: int | None,
        server_key: bytes | None,
        keys: KeyPair | None,
        notify: Callable[[], None],
    ) -> None:
        self.tracker = Tracker()
        self.n_skipped = 0
        self._newest = newest
        self._ready: collections.deque[Received] = collections.deque()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = self._context.socket(zmq.SUB)
        for option, value in _OPTIONS.items():
            socket.setsockopt(option, value)
        for prefix in prefixes:
            socket.setsockopt(zmq.SUBSCRIBE, prefix)
        connect_securely(socket, server_key, keys)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            socket.close(linger=0)
            self._context.term()
            raise ServiceError(
                f"an address must be tcp://HOST:PORT or ipc://PATH; {error}"
            ) from error
        capacity = queue or (_QUEUE_NEWEST if newest else _QUEUE_EVERY)
        self._reader = SocketReader(socket, capacity, notify)

    def next(self) -> Received | None:
        """The next message that has come; None if there is none."""
        while not self._ready:
            arrived = self._reader.take(_DRAIN_LIMIT if self._newest else 1)
            if not arrived:
                return None
            self._follow(arrived)
        return self._ready.popleft()

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._reader.close()
        self._context.term()

    def _follow(self, arrived: list[Arrived]) -> None:
        found = [m for one in arrived if (m := self.tracker.follow(*one)) is not None]
        chosen = newest_of(found) if self._newest else found
        self.n_skipped += len(found) - len(chosen)
        self._ready.extend(chosen)


class FrameClient:
    """Subscribes to a service; blocking.

    Args:
        address: of the service's data socket.
        streams: which; empty is every one.
        kinds: among frame, spikes, events, stats.
        newest: skip to the newest message of each topic when behind; otherwise every message.
        queue: messages that may wait here, 64 for the newest and 1,000 for every one unless
            given; the oldest give way and are counted as missed.
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
        queue: int | None = None,
        server_key: bytes | None = None,
        keys: KeyPair | None = None,
    ) -> None:
        self._came = threading.Event()
        prefixes = subscriptions(streams, kinds)
        self._subscription = _Subscription(
            address, prefixes, newest, queue, server_key, keys, self._came.set
        )

    @property
    def tracker(self) -> Tracker:
        """Totals: received, missed, restarts, latency, and the state of the service."""
        return self._subscription.tracker

    @property
    def n_skipped(self) -> int:
        """Messages that came and gave way to newer ones."""
        return self._subscription.n_skipped

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """The next message; None if none came within ``timeout_s``."""
        give_up_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._came.clear()
            message = self._subscription.next()
            if message is not None:
                return message
            left_s = None if give_up_s is None else give_up_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            self._came.wait(left_s)

    def __iter__(self) -> Iterator[Received]:
        """Messages for ever; ``break`` when you have enough."""
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._subscription.close()

    def __enter__(self) -> FrameClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncFrameClient:
    """``FrameClient`` for asyncio: ``async with`` and ``async for``; same arguments.

    It belongs to the event loop in which it is first awaited.
    """

    def __init__(
        self,
        address: str,
        *,
        streams: Sequence[str] = (),
        kinds: Sequence[str] = ("frame",),
        newest: bool = True,
        queue: int | None = None,
        server_key: bytes | None = None,
        keys: KeyPair | None = None,
    ) -> None:
        self._came = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        prefixes = subscriptions(streams, kinds)
        self._subscription = _Subscription(
            address, prefixes, newest, queue, server_key, keys, self._notify
        )

    @property
    def tracker(self) -> Tracker:
        """Totals: received, missed, restarts, latency, and the state of the service."""
        return self._subscription.tracker

    @property
    def n_skipped(self) -> int:
        """Messages that came and gave way to newer ones."""
        return self._subscription.n_skipped

    async def receive(self) -> Received:
        """The next message; cancel it, or use ``asyncio.timeout``, to wait no longer."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._came.clear()
            message = self._subscription.next()
            await asyncio.sleep(0)  # others have their turn however many messages wait
            if message is not None:
                return message
            await self._came.wait()

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Messages for ever; ``break`` when you have enough."""
        while True:
            yield await self.receive()

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._subscription.close()

    async def __aenter__(self) -> AsyncFrameClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _notify(self) -> None:
        """In the reader's thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._came.set)
