"""A fake engine and sources with a pace, for tests and for services in processes of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from streamvdib.services.station import Learning, Reading

from streamvdib.errors import ServiceError
from streamvdib.events import EventPacket, as_events

DT_US = 1000


@dataclass(frozen=True)
class FakeFrame:
    step: int
    start_us: int
    end_us: int
    pixels: np.ndarray


class FakeStation:
    """Every DT_US one step; the pixels of a frame all hold its step number."""

    def __init__(
        self, streams: Sequence[str] = ("digits",), shape: tuple[int, int] = (4, 5)
    ) -> None:
        self.streams = tuple(streams)
        self.model, self.seed = "fake", 7
        self.frame_shape = shape
        self.decode_every = 1
        self.step = -1
        self.learning = Learning(False, 0.5, 0.1, loss=2.0, score=0.1, nats_per_step=0.3)
        self.hang = threading.Event()
        self.commands: list[tuple[str, Mapping[str, Any]]] = []
        self.closed = False

    def _frame(self) -> FakeFrame:
        pixels = np.full((len(self.streams), *self.frame_shape), self.step / 65536, np.float32)
        end_us = (self.step + 1) * DT_US
        return FakeFrame(self.step, max(0, end_us - 10 * DT_US), end_us, pixels)

    def advance(self, stream: str, packet: EventPacket) -> list[FakeFrame]:
        while self.hang.is_set():
            time.sleep(0.01)
        frames = []
        while stream == self.streams[0] and (self.step + 2) * DT_US <= packet.end_us:
            self.step += 1
            if (self.step + 1) % self.decode_every == 0:
                frames.append(self._frame())
        return frames

    def decode(self) -> FakeFrame | None:
        return self._frame() if self.step >= 0 else None

    def take_spikes(self) -> np.ndarray:
        return np.array([[[1, 0, 1]]] * len(self.streams), dtype=np.uint8)

    def read(self) -> Reading:
        return Reading(self.step, 2 * (self.step + 1), 3, {}, self.learning)

    def describe(self, stream: str) -> dict[str, Any]:
        return {"stream": stream, "dt_us": DT_US, "shape": list(self.frame_shape)}

    def operate(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if command == "load_model" and arguments["name"] != "other":
            raise ServiceError(f"a model must be one of: other; got {arguments['name']!r}")
        self.commands.append((command, arguments))
        return {"done": command}

    def close(self) -> dict[str, Any]:
        self.closed = True
        return {"snapshot": "fake"}


class PacedPackets:
    """A packet of ``n_events`` every ``dt_us`` of the wall clock; ends after ``n_packets``.

    None comes before ``begin`` is set, if one is given.
    """

    is_live = False

    def __init__(
        self,
        n_packets: int = 10**9,
        n_events: int = 3,
        dt_us: int = DT_US,
        speed: float = 1.0,
        begin: threading.Event | None = None,
    ) -> None:
        self.begin = begin
        self.n_packets, self.n_events, self.dt_us, self.speed = n_packets, n_events, dt_us, speed
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[EventPacket]:
        while self.begin is not None and not self.begin.wait(0.05):
            if self.closed.is_set():
                return
        began_s = time.monotonic()
        for number in range(self.n_packets):
            end_us = (number + 1) * self.dt_us
            wait_s = began_s + end_us / 1e6 / self.speed - time.monotonic()
            if self.closed.wait(max(0.0, wait_s)):
                return
            t_us = np.linspace(end_us - self.dt_us, end_us - 1, self.n_events).astype(np.int64)
            zeros = np.arange(self.n_events) % 4
            yield EventPacket(as_events(t_us, zeros, zeros, zeros % 2 == 0), end_us)

    def close(self) -> None:
        self.closed.set()
