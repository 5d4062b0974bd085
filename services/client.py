"""Frames of a running service as NumPy arrays, blocking or with asyncio.

    with FrameClient("tcp://127.0.0.1:5555") as client:
        for frame in client:
            print(frame.step, frame.end_us, frame.pixels.shape, frame.latency_us, frame.n_missed)

Connections are made again by themselves; a service that was restarted shows as ``is_restart``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from types import TracebackType
from typing import Self

from .inbox import Inbox
from .keys import KeyPair
from .reading import SocketReader
from .subscribing import open_subscriber, subscriptions
from .tracking import Received, Tracker


class Client(ABC):
    """What both clients are: an inbox that a thread fills from a socket.

    Args:
        address: of the service's data socket.
        streams: which; empty is every one.
        kinds: among frame, spikes, events, stats.
        newest: skip to the newest message of each topic when behind; otherwise every message.
        queue: messages that may wait here, 64 for the newest and 1,000 for every one unless
            given; the oldest give way and are counted as missed.
        server_key: the service's public key, with CURVE.
        keys: this client's, which the service must know.

    Raises:
        ConfigurationError: a kind, a stream or a queue that cannot be.
        ServiceError: the address is none.
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
        prefixes = subscriptions(streams, kinds)
        self.inbox = Inbox(newest=newest, capacity=queue)
        socket = open_subscriber(address, prefixes, server_key, keys)
        self._prepare()
        self._reader = SocketReader(socket, self.inbox.put, self._notify)

    @property
    def tracker(self) -> Tracker:
        """Totals: received, missed, restarts, latency, and the state of the service."""
        return self.inbox.tracker

    @property
    def n_skipped(self) -> int:
        """Messages that came and gave way to newer ones."""
        return self.inbox.n_skipped

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._reader.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what ``_notify`` needs; called before a message can come."""

    @abstractmethod
    def _notify(self) -> None:
        """Messages have come; called in the reader's thread."""


class FrameClient(Client):
    """Subscribes to a service; blocking. See ``Client`` for the arguments."""

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """The next message; None if none came within ``timeout_s``."""
        give_up_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._came.clear()
            message = self.inbox.next()
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        self._came = threading.Event()

    def _notify(self) -> None:
        self._came.set()


class AsyncFrameClient(Client):
    """``FrameClient`` for asyncio: ``async with`` and ``async for``; same arguments.

    It belongs to the event loop in which it is first awaited.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    async def receive(self) -> Received:
        """The next message; cancel it, or use ``asyncio.timeout``, to wait no longer."""
        self._loop = asyncio.get_running_loop()
        while True:
            self._came.clear()
            message = self.inbox.next()
            await asyncio.sleep(0)  # others have their turn however many messages wait
            if message is not None:
                return message
            await self._came.wait()

    async def __aiter__(self) -> AsyncIterator[Received]:
        """Messages for ever; ``break`` when you have enough."""
        while True:
            yield await self.receive()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        self._came = asyncio.Event()

    def _notify(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._came.set)
