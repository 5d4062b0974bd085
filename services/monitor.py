"""Counts what happens to connections: who came, who went, whose handshake failed.

Those that the authenticator refuses are counted there.
"""

from __future__ import annotations

import collections
import contextlib

import zmq
from zmq.utils.monitor import parse_monitor_message

_EVENTS = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_ACCEPTED
)
_FAILURES = {
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "handshake broken off",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "handshake wrong",
}


class ConnectionMonitor:
    """Watches one socket; used by the thread that uses the socket."""

    def __init__(self, watched: zmq.Socket[bytes]) -> None:
        self._watched = watched
        self.socket: zmq.Socket[bytes] = watched.get_monitor_socket(_EVENTS)
        self._connected: set[int] = set()
        self.n_connected = 0  # peers now
        self.n_failed: collections.Counter[str] = collections.Counter()

    def serve(self) -> None:
        """Count what has happened since."""
        while self.socket.poll(0):
            event = parse_monitor_message(self.socket.recv_multipart(zmq.NOBLOCK))
            self._count(zmq.Event(event["event"]), int(event["value"]))

    def close(self) -> None:
        """Stop watching; an open monitor would hold the context up for ever."""
        with contextlib.suppress(zmq.ZMQError):  # the watched socket was closed before
            self._watched.disable_monitor()
        self.socket.close(linger=0)

    def _count(self, event: int, value: int) -> None:
        if event in _FAILURES:
            self.n_failed[_FAILURES[zmq.Event(event)]] += 1
        elif event == zmq.EVENT_ACCEPTED:
            self._connected.add(value)  # the file descriptor
        elif event == zmq.EVENT_DISCONNECTED:
            self._connected.discard(value)
        self.n_connected = len(self._connected)
