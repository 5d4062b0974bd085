"""A dv TCP server that sends events, in a process of its own.

Destroying dv-processing's ``NetworkWriter`` while a client is connected never returns, so the
process that owns it ends without destroying it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from streamvdib.errors import MissingExtraError, SinkError
from streamvdib.events import EVENT_DTYPE, EventArray, EventPacket, SensorSize

START_S = 20.0
DRAIN_S = 5.0


class DvPublisher:
    """Hands packets to the process that serves them. Memory: one packet here."""

    def __init__(self, host: str, port: int, sensor_size: SensorSize) -> None:
        """Start the server.

        Raises:
            MissingExtraError: dv-processing is not installed.
            SinkError: the address is not free.
        """
        self.counters = {"events": 0}
        self._name = f"dv://{host}:{port}"
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, host, port, *sensor_size), daemon=True
        )
        self._process.start()
        theirs.close()
        answer = self._pipe.recv_bytes() if self._pipe.poll(START_S) else b"no answer"
        if answer == b"no package":
            raise MissingExtraError("a dv server", extra="aedat4", missing="dv-processing")
        if answer != b"ready":
            raise SinkError(f"{self._name}: the address must be free; {answer.decode()}")

    def publish(self, packet: EventPacket) -> None:
        """Send the events to every client."""
        if not len(packet.events):
            return
        try:
            self._pipe.send_bytes(packet.events.tobytes())
        except OSError as error:
            raise SinkError(f"{self._name}: the server must go on; it has ended") from error
        self.counters["events"] += len(packet.events)

    def close(self) -> None:
        """Let the server send what it has, then end it."""
        self._pipe.close()
        self._process.join(DRAIN_S + 2.0)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: Connection, host: str, port: int, width: int, height: int) -> None:
    """The server's process."""
    try:
        import dv_processing as dv
    except ImportError:
        pipe.send_bytes(b"no package")
        return
    try:
        stream = dv.io.Stream.EventStream(0, "events", "streamvdib", (width, height))
        writer = dv.io.NetworkWriter(host, port, stream)
    except RuntimeError as error:
        pipe.send_bytes(str(error).encode())
        return
    pipe.send_bytes(b"ready")
    try:
        while True:
            writer.writeEvents(_as_event_store(np.frombuffer(pipe.recv_bytes(), EVENT_DTYPE)))
    except EOFError:
        give_up_s = time.monotonic() + DRAIN_S
        while writer.getQueuedPacketCount() and time.monotonic() < give_up_s:
            time.sleep(0.01)
        time.sleep(0.1)
    os._exit(0)


def _as_event_store(events: EventArray) -> Any:
    """Events as dv-processing has them; it raises on times that run back."""
    import dv_processing

    store = dv_processing.EventStore()
    for t_us, x, y, on in events.tolist():
        store.push_back(t_us, x, y, on)
    return store
