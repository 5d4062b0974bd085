"""What a subscriber knows of the service: gaps, restarts, latency, and whether it is alive."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from .bounds import WireError, unpack_map
from .clocks import boot_id
from .messages import SERVICE_STREAM, Header, decode_header, decode_payload
from .tally import Latencies

_MAX_STATS_BYTES = 1 << 16
SILENT_AFTER_S = 1.0
"""Five missed heartbeats."""


@dataclass(frozen=True)
class Received:
    """One message as a subscriber has it.

    Attributes:
        header: as sent.
        values: the payload; pixels of a frame are (height, width). For ``stats`` and
            ``heartbeat`` it is the bytes of ``figures``.
        latency_us: from the sensor time at which its content ended (``due_ns``), or from the
            moment it was made where that is not known, to its arrival here.
        n_missed: messages of its topic that were lost on the way just before it.
        is_restart: whether the service was started anew since the topic's message before.
        is_last: whether it is what a newcomer is told, made before this client subscribed.
        figures: the map that a ``stats`` or ``heartbeat`` message holds.
    """

    header: Header
    values: npt.NDArray[Any]
    latency_us: float
    n_missed: int
    is_restart: bool
    is_last: bool
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stream(self) -> str:
        """Whose message it is."""
        return self.header.stream

    @property
    def step(self) -> int:
        """The last time step that it knows of."""
        return self.header.step

    @property
    def end_us(self) -> int:
        """Where what it describes ends, microseconds of the sensor's clock."""
        return self.header.end_us

    @property
    def pixels(self) -> npt.NDArray[Any]:
        """The frame, (height, width)."""
        return self.values


class Tracker:
    """Follows the messages of one service. Memory: two numbers per topic, 2,048 latencies."""

    def __init__(self) -> None:
        self.run: str | None = None
        self.n_received = 0
        self.n_missed = 0
        self.n_restarts = 0
        self.n_malformed = 0
        self.latency = Latencies()
        self.description: dict[str, dict[str, Any]] = {}
        self._next: dict[tuple[str, str], int] = {}
        self._restarted: set[tuple[str, str]] = set()
        self._boot = boot_id()
        self._heartbeat: Mapping[str, Any] = {}
        self._heard_s = 0.0

    @property
    def state(self) -> str:
        """Of the service: ``silent`` without heartbeats, else what they say.

        That is ``running``, ``idle``, ``paused``, ``closing``, or ``hung`` where the service
        answers but its engine does not move.
        """
        if time.monotonic() - self._heard_s > SILENT_AFTER_S:
            return "closed" if self._heartbeat.get("state") == "closing" else "silent"
        return str(self._heartbeat.get("state", "silent"))

    def follow(self, parts: list[bytes], arrived_ns: int, wall_us: int) -> Received | None:
        """Read one message; None for heartbeats and for what was seen before.

        Args:
            parts: topic, header, payload.
            arrived_ns: monotonic clock when it came.
            wall_us: wall clock when it came.

        Raises:
            WireError: of another major schema number; other bad messages are counted.
        """
        try:
            if len(parts) != 3:
                raise WireError("malformed", "", f"must have 3 parts; got {len(parts)}")
            header = decode_header(parts[1])
            values = decode_payload(header, parts[2])
            figures = (
                unpack_map(values.tobytes(), _MAX_STATS_BYTES)
                if header.kind in ("stats", "heartbeat")
                else {}
            )
        except WireError as error:
            if error.code == "unsupported_schema":
                raise
            self.n_malformed += 1
            return None
        self._heard_s = time.monotonic()
        self._see_run(header.run)
        if header.description is not None:
            self.description[header.stream] = dict(header.description)
        if header.stream == SERVICE_STREAM:
            self._heartbeat = figures
            return None
        is_last = bytes(parts[0]).endswith(b"/last")
        is_restart = (header.kind, header.stream) in self._restarted
        n_missed = self._see_sequence(header, is_last)
        if n_missed is None:
            return None
        latency_us = self._latency_us(header, arrived_ns, wall_us)
        if not is_last:
            self.latency.add(int(latency_us * 1000))
        self.n_received += 1
        return Received(header, values, latency_us, n_missed, is_restart, is_last, figures)

    def _see_run(self, run: str) -> None:
        if self.run is not None and run != self.run:
            self.n_restarts += 1
            self._restarted |= set(self._next)
            self._next.clear()
        self.run = run

    def _see_sequence(self, header: Header, is_last: bool) -> int | None:
        """Messages missed before this one; None if it was seen already."""
        topic = (header.kind, header.stream)
        expected = self._next.get(topic)
        if expected is not None and header.sequence < expected:
            return None
        self._next[topic] = header.sequence + 1
        self._restarted.discard(topic)
        if expected is None or is_last:
            return 0
        n_missed = header.sequence - expected
        self.n_missed += n_missed
        return n_missed

    def _latency_us(self, header: Header, arrived_ns: int, wall_us: int) -> float:
        """On the serving machine by its monotonic clock, elsewhere by the wall clocks."""
        began_ns = header.monotonic_ns if header.due_ns is None else header.due_ns
        if header.boot == self._boot:
            return max(0.0, (arrived_ns - began_ns) / 1000)
        in_service_us = (header.monotonic_ns - began_ns) / 1000
        return max(0.0, wall_us - header.wall_us + in_service_us)


def newest_of(messages: list[Received]) -> list[Received]:
    """The newest message of each topic, in order of arrival; the others are skipped.

    What the skipped ones told (missed messages, a restart) is handed on.
    """
    newest: dict[tuple[str, str], Received] = {}
    for message in messages:
        topic = (message.header.kind, message.header.stream)
        before = newest.pop(topic, None)
        if before is not None:
            message = Received(
                message.header,
                message.values,
                message.latency_us,
                before.n_missed + message.n_missed,
                before.is_restart or message.is_restart,
                message.is_last,
                message.figures,
            )
        newest[topic] = message
    return list(newest.values())
