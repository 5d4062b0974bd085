"""The engine's thread: packets in, messages out, control commands in between.

    intake -> station.advance -> outbox
                  ^ operations, one at a time, between two packets

Every pass of the loop gives a sign of life, so a hang inside the engine is seen from outside.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np

from streamvdib.errors import ServiceError
from streamvdib.events import EventPacket

from .bounds import pack
from .figures import figures_of
from .intake import Arrival, Intake
from .outbox import Outbox
from .station import DecodedFrame, Reading, Result, Station
from .tally import Tally

_WAIT_S = 0.05
STATS_INTERVAL_S = 0.25
EVENTS_PER_MESSAGE = 8192
"""At most; a longer packet is sent in parts, so that no message grows with the scene."""

Operation = Callable[[], Result]


class Runtime:
    """Drives one station from one intake per stream.

    Args:
        station: the engine.
        intakes: by stream name.
        outbox: takes the messages; used by the running thread only.
        tally: kept up to date.
        descriptions: of every stream; kept up to date.
        pixel_dtype: of frames on the wire, ``<f4`` or ``|u1``.
        on_packet: is given every packet before the engine (the recorder), in this thread.
    """

    def __init__(
        self,
        station: Station,
        intakes: Mapping[str, Intake],
        outbox: Outbox,
        tally: Tally,
        descriptions: dict[str, dict[str, Any]],
        *,
        pixel_dtype: str = "<f4",
        on_packet: Callable[[str, EventPacket], None] | None = None,
    ) -> None:
        self.station = station
        self.intakes = dict(intakes)
        self.tally = tally
        self.is_paused = False
        self.reading: Reading = station.read()
        self.descriptions = descriptions
        self.stats: dict[str, Any] = {}
        self._outbox = outbox
        self._pixel_dtype = pixel_dtype
        self._on_packet = on_packet
        self._operations: queue.Queue[tuple[Operation, Future[dict[str, Any]]]] = queue.Queue(64)
        self._stopping = threading.Event()
        self._arrived = threading.Event()
        self._stats_due_s = 0.0
        self._clock = next(iter(self.intakes.values())).clock  # frames carry its sensor time

    def submit(self, operation: Operation) -> Future[dict[str, Any]]:
        """Have ``operation`` executed between two packets; from any thread.

        Raises:
            queue.Full: 64 are waiting already.
        """
        future: Future[dict[str, Any]] = Future()
        self._operations.put_nowait((operation, future))
        return future

    def refresh_descriptions(self) -> None:
        """Ask the station anew what its streams are; in the engine's thread."""
        for name in self.station.streams:
            self.descriptions[name] = self.station.describe(name)

    def decode_now(self) -> dict[str, Any]:
        """Publish a frame of this moment; in the engine's thread."""
        frame = self.station.decode()
        if frame is None:
            raise ServiceError("a frame needs at least one step; none was made yet. Try later")
        self.post_frame(frame)
        return {"step": frame.step}

    def stop(self) -> None:
        """Ask the loop to end after the packet at hand; from any thread."""
        self._stopping.set()

    def run(self) -> None:
        """Loop until stopped or until every source has ended; close the station."""
        for intake in self.intakes.values():
            intake.start(self._arrived)
        self.tally.pulse.beat("running")
        while not self._stopping.is_set():
            self._execute_operations()
            if self.is_paused:
                self.tally.pulse.beat("paused")
                self._stopping.wait(_WAIT_S)
            elif not self._pass_packets():
                self.tally.pulse.beat("idle")
                if all(intake.is_exhausted for intake in self.intakes.values()):
                    self._raise_failure()
                    break
            self._post_stats()
        self.tally.pulse.beat("closing")
        self._refuse_operations()
        self._post_stats(force=True)

    def post_frame(self, frame: DecodedFrame) -> None:
        """Publish one frame of every stream."""
        due_ns = self._clock.due_ns(frame.end_us)
        for index, stream in enumerate(self.station.streams):
            pixels = self._on_wire(frame.pixels[index])
            self._outbox.post(
                stream,
                "frame",
                pixels,
                range=(0.0, 1.0 if pixels.dtype.kind == "f" else 255.0),
                step=frame.step,
                start_us=frame.start_us,
                end_us=frame.end_us,
                due_ns=due_ns,
                **self._about(),
            )
        self.tally.n_frames += 1
        self.tally.frame_latency.add(time.monotonic_ns() - due_ns)

    def _post_spikes(self, end_us: int) -> None:
        """Publish the readout spikes of the steps made since the last time."""
        spikes = self.station.take_spikes()
        if spikes.shape[1] == 0:
            return
        for index, stream in enumerate(self.station.streams):
            self._outbox.post(
                stream,
                "spikes",
                spikes[index],
                range=(0.0, 1.0),
                step=self.reading.step,
                start_us=0,
                end_us=end_us,
                due_ns=self._clock.due_ns(end_us),
                **self._about(),
            )

    def _about(self) -> dict[str, Any]:
        """What the headers of all kinds say of the engine."""
        return {
            "model": self.station.model,
            "generation": self.reading.generation,
            "dropped": self.tally.dropped,
        }

    def dropped(self) -> dict[str, int]:
        """Totals of everything dropped since the start, by cause; causes at zero left out."""
        totals = dict(self.reading.dropped)
        totals["queue"] = sum(i.n_dropped_events for i in self.intakes.values())
        totals["outbox"] = self._outbox.n_dropped
        return {cause: n for cause, n in totals.items() if n}

    def _pass_packets(self) -> bool:
        """Give the engine the next packet of each stream; False if none came."""
        self._arrived.clear()
        any_came = False
        for stream, intake in self.intakes.items():
            arrival = intake.take()
            if arrival is not None:
                any_came = True
                self._pass_packet(stream, arrival)
        if not any_came:
            self._raise_failure()
            self._arrived.wait(_WAIT_S)
        return any_came

    def _raise_failure(self) -> None:
        """What ended a source that should have gone on, once all it gave was taken."""
        for intake in self.intakes.values():
            if intake.error is not None and intake.is_exhausted:
                raise intake.error

    def _pass_packet(self, stream: str, arrival: Arrival) -> None:
        if self._on_packet is not None:
            self._on_packet(stream, arrival.packet)
        began_ns = time.monotonic_ns()
        frames = self.station.advance(stream, arrival.packet)
        took_ns = time.monotonic_ns() - began_ns
        self._count(arrival, took_ns)
        self._post_events(stream, arrival)
        for frame in frames:
            self.post_frame(frame)
        self._post_spikes(arrival.packet.end_us)

    def _count(self, arrival: Arrival, took_ns: int) -> None:
        reading = self.station.read()
        n_steps = reading.step - self.reading.step
        self.tally.n_events += len(arrival.packet.events)
        self.tally.n_spikes = reading.n_spikes
        self.tally.n_steps += max(0, n_steps)
        self.reading = reading
        if n_steps > 0:
            self.tally.pulse.advanced(reading.step)
            self.tally.step_latency.add(took_ns // n_steps)
        self.tally.pulse.beat("running")
        self.tally.dropped = self.dropped()

    def _on_wire(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self._pixel_dtype == "|u1":
            return np.asarray(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        return np.array(pixels, dtype="<f4")

    def _post_events(self, stream: str, arrival: Arrival) -> None:
        """Publish a packet's events; none at all are published too: silence goes on."""
        events, end_us = arrival.packet.events, arrival.packet.end_us
        due_ns = self.intakes[stream].clock.due_ns(end_us)
        for first in range(0, max(1, len(events)), EVENTS_PER_MESSAGE):
            part = events[first : first + EVENTS_PER_MESSAGE]
            is_last = first + len(part) == len(events)
            self._outbox.post(
                stream,
                "events",
                part,
                step=self.reading.step,
                start_us=int(part["t_us"][0]) if len(part) else end_us,
                end_us=end_us if is_last else int(part["t_us"][-1]),
                due_ns=due_ns,
                **self._about(),
            )

    def _post_stats(self, force: bool = False) -> None:
        now_s = time.monotonic()
        if now_s < self._stats_due_s and not force:
            return
        self._stats_due_s = now_s + STATS_INTERVAL_S
        self.stats = figures_of(self.station, self.intakes, self.tally, self.reading)
        payload = pack(self.stats)
        for stream in self.station.streams:
            self._outbox.post(
                stream,
                "stats",
                payload,
                shape=(len(payload),),
                step=self.reading.step,
                start_us=0,
                end_us=0,
                **self._about(),
            )

    def _execute_operations(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                operation, future = self._operations.get_nowait()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    result = operation()
                except Exception as error:  # the caller gets it; the stream goes on
                    future.set_exception(error)
                    continue
                self.reading = self.station.read()  # whoever asks after the answer sees the change
                _settle(future, result)

    def _refuse_operations(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._operations.get_nowait()[1].cancel()


def _settle(future: Future[dict[str, Any]], result: Result) -> None:
    """Give ``future`` the result, at once or when it is there."""
    if not isinstance(result, Future):
        future.set_result(result)
        return

    def hand_on(done: Future[dict[str, Any]]) -> None:
        error = done.exception()
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())

    result.add_done_callback(hand_on)
