"""Tells systemd that the service is ready and alive (sd_notify(3)), without any library."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from .tally import Pulse

PATIENCE_S = 5.0
"""The engine's thread passes its loop 20 times a second; a learning update may take longer."""


class Watchdog:
    """Feeds systemd's watchdog only while the engine's thread lives.

    A hung engine behind live sockets starves it, and systemd starts the service anew.

    Args:
        pulse: of the engine's thread.
        environment: NOTIFY_SOCKET and WATCHDOG_USEC; without them nothing is sent.
    """

    def __init__(self, pulse: Pulse, environment: Mapping[str, str] = os.environ) -> None:
        self._pulse = pulse
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._interval_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6 / 3
        self._due_s = 0.0

    def ready(self, status: str) -> None:
        """The service serves."""
        self._notify(f"READY=1\nSTATUS={status}")

    def feed(self) -> bool:
        """Call often. Whether the watchdog was fed this time."""
        now_s = time.monotonic()
        if not self._interval_s or now_s < self._due_s or not self._pulse.is_alive(PATIENCE_S):
            return False
        self._due_s = now_s + self._interval_s
        self._notify(f"WATCHDOG=1\nSTATUS={self._pulse.state}, step {self._pulse.step}")
        return True

    def stopping(self) -> None:
        """The service is draining."""
        self._notify("STOPPING=1")

    def _notify(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.setblocking(False)
            with contextlib.suppress(OSError):  # systemd's buffer is full: the next one tells
                client.sendto(text.encode(), address)
