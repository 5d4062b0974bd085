"""Reads a subscriber's socket all the time, whatever its program does meanwhile.

libzmq 4.3.5 ends the process ("Assertion failed: _input_stopped", issue zeromq/libzmq#3937)
when a connection is lost while the queue of a connecting socket is full, and the program reads
on after the reconnection. A slow program beside a service that restarts is just that. So the
socket's queue is never left to fill: a thread empties it into a bounded one, whose oldest
messages give way. For the same reason no ZMTP heartbeats are set: they break the connections of
those who do not read. TCP keep-alive notices a dead network, the service's own heartbeats a
dead or hung service.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import zmq

_PER_PASS = 100


class Arrived(NamedTuple):
    """A message and when it came."""

    parts: list[bytes]
    monotonic_ns: int
    wall_us: int


class SocketReader:
    """Owns a SUB socket, which its thread alone uses. Memory: ``capacity`` messages.

    Args:
        socket: connected and subscribed; closed with this.
        capacity: messages that wait for the program; the oldest give way.
        notify: called in the thread after messages came.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], capacity: int, notify: Callable[[], None]
    ) -> None:
        self._socket = socket
        self._notify = notify
        self._waiting: collections.deque[Arrived] = collections.deque(maxlen=capacity)
        address = f"inproc://reader-{id(self)}"
        self._stop_in = socket.context.socket(zmq.PAIR)
        self._stop_in.bind(address)
        self._stop_out = socket.context.socket(zmq.PAIR)
        self._stop_out.connect(address)
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self._thread.start()

    def take(self, limit: int) -> list[Arrived]:
        """Up to ``limit`` messages, oldest first; in the program's thread."""
        taken: list[Arrived] = []
        while len(taken) < limit:
            try:
                taken.append(self._waiting.popleft())
            except IndexError:
                break
        return taken

    def close(self) -> None:
        """Stop and close the socket; safe to call twice."""
        if not self._stop_out.closed:
            self._stop_out.send(b"")
            self._thread.join()
            self._stop_out.close(linger=0)

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._stop_in, zmq.POLLIN)
        while self._stop_in not in dict(poller.poll()):
            if self._read():
                self._notify()
        self._stop_in.close(linger=0)
        self._socket.close(linger=0)

    def _read(self) -> bool:
        for number in range(_PER_PASS):
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return number > 0
            self._waiting.append(Arrived(parts, time.monotonic_ns(), time.time_ns() // 1000))
        return True
