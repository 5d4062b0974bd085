"""The I/O thread: every socket of a service, and the signs of life that its clients see.

    outbox  ->  XPUB (frames, spikes, events, stats, heartbeats)  ->  subscribers
    engine's thread  <-  ROUTER (control)  <-  clients

It never runs the engine, so it answers and beats while the engine hangs, and the beat says so.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import zmq

from streamvdib.errors import ServiceError

from .addresses import Address, AddressLock
from .bounds import pack
from .clocks import boot_id
from .control_desk import ControlDesk, Handler
from .messages import SERVICE_STREAM, Header, encode_header, topic
from .monitor import ConnectionMonitor
from .outbox import Outbox
from .publisher import HEARTBEAT_MS, Publisher
from .tally import Pulse
from .zap import Authenticator

_LOG = logging.getLogger(__name__)
_PER_PASS = 64
HUNG_AFTER_S = 2.0
"""The engine's thread passes its loop 20 times a second; this long without is a hang."""


def new_run_id() -> str:
    """16 hexadecimal digits that name one start of a service."""
    return secrets.token_hex(8)


@dataclass(frozen=True)
class ServiceOptions:
    """What a service serves, and where."""

    data: Address
    control: Address
    streams: Sequence[str]
    model: str = ""
    seed: int = 0
    message_bytes: int = 1 << 17  # of the largest message
    requests_per_s: float = 200.0


class FrameService:
    """Runs the sockets in a thread from ``start`` to ``close``.

    Args:
        options: what and where.
        descriptions: of every stream; may change while it runs.
        handle: executes control requests.
        pulse: of the engine's thread.
        authenticator: guards both sockets.
        context: shared by every socket of the service.
    """

    def __init__(
        self,
        options: ServiceOptions,
        descriptions: Mapping[str, Mapping[str, Any]],
        handle: Handler,
        pulse: Pulse,
        authenticator: Authenticator,
        context: zmq.Context[zmq.Socket[bytes]],
    ) -> None:
        self.pulse = pulse
        self.authenticator = authenticator
        self.header = Header(
            kind="heartbeat",
            stream=SERVICE_STREAM,
            run=new_run_id(),
            sequence=0,
            step=-1,
            start_us=0,
            end_us=0,
            wall_us=0,
            monotonic_ns=0,
            boot=boot_id(),
            model=options.model,
            seed=options.seed,
        )
        self._beats = itertools.count()
        self._locks = [AddressLock(options.data), AddressLock(options.control)]
        self.outbox = Outbox(self.header, descriptions)
        self.publisher = Publisher(
            context,
            options.streams,
            descriptions,
            message_bytes=options.message_bytes,
            secure=authenticator.secure,
        )
        self.desk = ControlDesk(
            context, handle, authenticator.role_of, authenticator.secure, options.requests_per_s
        )
        self.monitors = [
            ConnectionMonitor(self.publisher.socket),
            ConnectionMonitor(self.desk.socket),
        ]
        self._stopping = threading.Event()
        self._resetting = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="service-io", daemon=True)
        self.data_address, self.control_address = self._bind(options)

    @property
    def n_subscribers(self) -> int:
        """Connections to the data socket now."""
        return self.monitors[0].n_connected

    @property
    def n_refused(self) -> dict[str, int]:
        """Connections refused since the start, by reason."""
        totals = dict(self.authenticator.n_refused)
        for monitor in self.monitors:
            for reason, n in monitor.n_failed.items():
                totals[reason] = totals.get(reason, 0) + n
        return totals

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def disconnect_all(self) -> None:
        """Have every subscriber connect, and be judged by the authenticator, again."""
        self._resetting.set()

    def close(self) -> None:
        """Send what waits and a last beat, close every socket, release the addresses."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        else:
            self._close_sockets()
        for lock in self._locks:
            lock.release()

    def _bind(self, options: ServiceOptions) -> tuple[str, str]:
        """Bind both sockets; nothing stays open if an address is taken."""
        address = options.data.text
        try:
            data = self.publisher.bind(address)
            address = options.control.text
            self.desk.socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise ServiceError(
                f"{address} must be free and of this machine; {error}. Stop the service that "
                "holds it, or choose another address with --bind and --control"
            ) from error
        return data, self.desk.socket.get_string(zmq.LAST_ENDPOINT)

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:  # seen by the supervisor, which ends the service
            _LOG.exception("the I/O thread failed")
            self.error = error
        finally:
            self._close_sockets()

    def _serve(self) -> None:
        poller = self._new_poller()
        beat_due_s = 0.0
        while not self._stopping.is_set():
            now_s = time.monotonic()
            if now_s >= beat_due_s:
                beat_due_s = now_s + HEARTBEAT_MS / 1000
                self._beat()
            if self._resetting.is_set():
                self._resetting.clear()
                self._reset_publisher()
                poller = self._new_poller()
            poller.poll(5 if self.desk.is_waiting else max(1, int((beat_due_s - now_s) * 1000)))
            self._forward()
            socket = self.publisher.socket
            self.publisher.serve_subscriptions()
            if self.publisher.socket is not socket:
                self._watch_publisher()
                poller = self._new_poller()
            self.desk.serve()
            for monitor in self.monitors:
                monitor.serve()
        self._forward(limit=10_000)
        self._beat()

    def _new_poller(self) -> zmq.Poller:
        poller = zmq.Poller()
        for socket in (self.outbox.wake_fd, self.publisher.socket, self.desk.socket):
            poller.register(socket, zmq.POLLIN)
        for monitor in self.monitors:
            poller.register(monitor.socket, zmq.POLLIN)
        return poller

    def _forward(self, limit: int = _PER_PASS) -> None:
        """Hand on what the engine's thread has posted."""
        self.outbox.heard()
        for _ in range(limit):
            parts = self.outbox.take()
            if parts is None:
                return
            self.publisher.send(parts)
        self.outbox.wake()  # the rest in the next pass, after the other sockets

    def _beat(self) -> None:
        """Say that the I/O lives, and how the engine is."""
        now_ns = time.monotonic_ns()
        pulse = self.pulse
        state = pulse.state if pulse.is_alive(HUNG_AFTER_S) else "hung"
        payload = pack(
            {
                "state": "closing" if self._stopping.is_set() else state,
                "step": pulse.step,
                "engine_age_us": max(0, (now_ns - pulse.beat_ns) // 1000),
                "step_age_us": max(0, (now_ns - pulse.advanced_ns) // 1000),
            }
        )
        header = replace(
            self.header,
            sequence=next(self._beats),
            step=pulse.step,
            wall_us=time.time_ns() // 1000,
            monotonic_ns=now_ns,
            shape=(len(payload),),
            bytes=len(payload),
        )
        self.publisher.send([topic(SERVICE_STREAM, "heartbeat"), encode_header(header), payload])

    def _reset_publisher(self) -> None:
        self.publisher.reset()
        self._watch_publisher()

    def _watch_publisher(self) -> None:
        """Follow the data socket after it was made anew."""
        old = self.monitors[0]
        old.close()
        self.monitors[0] = ConnectionMonitor(self.publisher.socket)
        self.monitors[0].n_failed = old.n_failed

    def _close_sockets(self) -> None:
        for monitor in self.monitors:
            monitor.close()
        self.publisher.close()
        self.desk.close()
        self.outbox.close()
