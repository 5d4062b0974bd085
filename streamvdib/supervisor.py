"""Starts a program again when it dies or hangs, as systemd would with ``WatchdogSec=``.

The program sends ``WATCHDOG=1`` to the socket that ``NOTIFY_SOCKET`` names (sd_notify(3)), from
the thread that steps and only while it steps: a program whose I/O lives and whose engine hangs
falls silent, is killed, and resumes from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from streamvdib.errors import ConfigurationError

_LOG = logging.getLogger(__name__)
BEAT_S = 1.0
_LOOK_S = 0.05


class Child(Protocol):
    """A started program; ``subprocess.Popen`` is one."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def kill(self) -> None:
        """End it at once."""

    def wait(self) -> int:
        """Wait for its end; the exit code."""


class Heartbeat:
    """What a supervised program says while it steps; says nothing where nobody listens.

    Args:
        environment: where NOTIFY_SOCKET is looked up.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock, self._due_s = clock, 0.0

    def beat(self) -> None:
        """The engine has made progress; costs a look at the clock, and a datagram every second."""
        if not self._address:
            return
        now_s = self._clock()
        if now_s < self._due_s:
            return
        self._due_s = now_s + BEAT_S
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
            client.setblocking(False)
            with contextlib.suppress(OSError):  # nobody reads: the next beat tells
                client.sendto(b"WATCHDOG=1", address)


class Supervisor:
    """Keeps one program running. Memory: none of note.

    Args:
        start: starts the program with these additions to its environment.
        patience_s: silence after which it counts as hung; the first beat may take ``start_s``.
        start_s: how long a start may take.
        most_restarts: then it is given up.
        pause_s: before a restart; doubled each time, at most 60 s.
    """

    def __init__(
        self,
        start: Callable[[Mapping[str, str]], Child],
        *,
        patience_s: float = 10.0,
        start_s: float = 120.0,
        most_restarts: int = 10,
        pause_s: float = 0.5,
    ) -> None:
        if min(patience_s, start_s, pause_s) <= 0 or most_restarts < 0:
            raise ConfigurationError(
                "a supervisor requires times above 0 and restarts of 0 or more; got "
                f"{patience_s}, {start_s}, {pause_s}, {most_restarts}"
            )
        self.patience_s, self.start_s = patience_s, start_s
        self.most_restarts, self.pause_s = most_restarts, pause_s
        self.n_hung = self.n_died = 0
        self._start = start
        self._folder = tempfile.TemporaryDirectory(prefix="streamvdib-")
        self._path = str(Path(self._folder.name, "notify"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.bind(self._path)
        self._child: Child | None = None

    @property
    def n_restarts(self) -> int:
        """Times that it was started again."""
        return self.n_hung + self.n_died

    def run(self) -> int:
        """Until the program ends by itself with 0, or by a signal to us; its last exit code."""
        while True:
            code = self._watch()
            if code == 0 or self.n_restarts > self.most_restarts:
                return 0 if code == 0 else 1
            time.sleep(min(60.0, self.pause_s * 2 ** (self.n_restarts - 1)))

    def close(self) -> None:
        """End the program and give back the socket; safe to call twice."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._socket.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _watch(self) -> int:
        """Start it once and watch it to its end; 0 if it ended well."""
        microseconds = str(round(self.patience_s * 1e6))
        child = self._start({"NOTIFY_SOCKET": self._path, "WATCHDOG_USEC": microseconds})
        self._child = child
        deadline_s = time.monotonic() + self.start_s
        while (code := child.poll()) is None:
            if self._heard():
                deadline_s = time.monotonic() + self.patience_s
            elif time.monotonic() > deadline_s:
                self.n_hung += 1
                _LOG.error("the program hangs: no heartbeat for its time; it is started again")
                child.kill()
                child.wait()
                return 1
        if code != 0:
            self.n_died += 1
            _LOG.error("the program ended with %s; it is started again", code)
        return code

    def _heard(self) -> bool:
        """Wait a moment for a beat; whether one came."""
        self._socket.settimeout(_LOOK_S)
        try:
            return b"WATCHDOG=1" in self._socket.recv(4096)
        except TimeoutError:
            return False
