"""Reads a subscriber's socket all the time, whatever its program does meanwhile.

libzmq 4.3.5 ends the process ("Assertion failed: _input_stopped", issue zeromq/libzmq#3937)
when a connection is lost while the queue of a connecting socket is full, and the program reads
on after the reconnection; heartbeats make it likely, since they break the connection of a
socket whose queue is full. So the socket's own queue has no limit, and a thread empties it into
a bounded one, whose oldest messages give way. It grows only while this thread may not run:
while the program holds the interpreter's lock. tests/services/heartbeats.py shows both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import zmq

from .inbox import Arrived

_PER_PASS = 100


class SocketReader:
    """Owns a SUB socket and its context; its thread alone uses the socket.

    Args:
        socket: connected and subscribed; closed with this.
        put: is given every message, in the thread.
        notify: called in the thread after messages came.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        put: Callable[[Arrived], None],
        notify: Callable[[], None],
    ) -> None:
        self._socket = socket
        self._put = put
        self._notify = notify
        address = f"inproc://reader-{id(self)}"
        self._stop_in = socket.context.socket(zmq.PAIR)
        self._stop_in.bind(address)
        self._stop_out = socket.context.socket(zmq.PAIR)
        self._stop_out.connect(address)
        self._thread = threading.Thread(target=self._run, name="subscriber", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and close the socket and its context; safe to call twice."""
        if not self._stop_out.closed:
            self._stop_out.send(b"")
            self._thread.join()
            self._stop_out.close(linger=0)
            self._socket.context.term()

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
            self._put(Arrived(parts, time.monotonic_ns(), time.time_ns() // 1000))
        return True
