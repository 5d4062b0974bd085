"""Binning: packets of events into time steps of dt_us, in the sensor's own time.

Step k covers [t0 + k dt, t0 + (k + 1) dt) microseconds. t0 is the multiple of dt at or before
the first event, so frames do not depend on how the events were cut into packets.

| what comes | a recording (policy "raise") | a live stream (policy "count") |
|---|---|---|
| an event of a step that is closed | ``EventOrderError`` | dropped, counted as ``late`` |
| a clock that jumps back by more than ``max_gap_us`` | ``EventOrderError`` | ``restarts`` |
| a gap longer than ``max_gap_us`` | ``EventOrderError`` | ``restarts`` |
| a coordinate off the sensor | ``EventRangeError`` | dropped, counted as ``off_sensor`` |

A restart forgets the past and goes on with the next step number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, EventOrderError, EventRangeError
from streamvdib.events import EventArray, EventPacket, empty_events
from streamvdib.geometry import Geometry
from streamvdib.input_steps import InputSteps

if TYPE_CHECKING:
    from streamvdib.backends.quick_binning import QuickBinning

DEFAULT_MAX_GAP_US = 60_000_000
MAX_CHUNK_STEPS = 1024


def quick_binning(binner: Binner) -> QuickBinning:
    """The compiled pass; numba is loaded here and not before."""
    from streamvdib.backends.quick_binning import QuickBinning

    return QuickBinning(binner)


@dataclass
class BinningCounters:
    """What happened to the events that came in."""

    events: int = 0  # all that came
    outside: int = 0  # on the sensor, outside the crop
    off_sensor: int = 0
    late: int = 0
    restarts: int = 0
    steps: int = 0  # given out


class Binner:
    """Collects events into steps, and gives out the steps that are complete.

    Memory: the active inputs of the step that is open, and one chunk of steps while it is given
    out. ``compiled``: ordinary packets take one compiled pass (``backends.quick_binning``); this
    module is their reference, and takes all others.
    """

    def __init__(
        self,
        geometry: Geometry,
        dt_us: int,
        *,
        policy: str = "raise",
        max_gap_us: int = DEFAULT_MAX_GAP_US,
        compiled: bool = True,
    ) -> None:
        if policy not in ("raise", "count"):
            raise ConfigurationError(f"a policy must be raise or count; got {policy!r}")
        if dt_us < 1 or max_gap_us < dt_us:
            raise ConfigurationError(
                f"dt_us must be at least 1 and at most max_gap_us; got {dt_us} and {max_gap_us}"
            )
        self.geometry, self.dt_us = geometry, dt_us
        self.policy, self.max_gap_us = policy, max_gap_us
        self.n_inputs = int(np.prod(geometry.input_shape))
        self.counters = BinningCounters()
        self.open_us: int | None = None  # when the open step began; None before the first event
        self.next_step = 0  # number of the open step
        self.restarting = False  # whether the next chunk must say that it restarts
        self.pending: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)  # targets, open step
        self._quick = quick_binning(self) if compiled else None

    def warm_up(self) -> None:
        """Load compiled code now, on a binner of its own; nothing of this one changes."""
        if self._quick is not None:
            scratch = Binner(self.geometry, self.dt_us, max_gap_us=self.max_gap_us)
            for _ in scratch.push(EventPacket(empty_events(1), self.dt_us)):
                pass

    def push(self, packet: EventPacket) -> Iterator[InputSteps]:
        """Take a packet; give the steps that it completes, in order.

        Raises:
            EventOrderError: time runs back or jumps, under the policy "raise".
            EventRangeError: an event lies off the sensor, under the policy "raise".
        """
        quick = self._quick.push(packet) if self._quick is not None else None
        if quick is not None:
            yield from quick
            return
        events = self._on_sensor(packet.events)
        self.counters.events += len(packet.events)
        for part in self._parts(events):
            if len(part):
                last_us = int(part["t_us"].max())
                self._begin(int(part["t_us"][0]), part)
                yield from self._bin(part, last_us + 1)
        if self.open_us is not None and packet.end_us > self.open_us:
            if packet.end_us - self.open_us > self.max_gap_us + self.dt_us:
                self._restart(packet.end_us, "gap")
            yield from self._bin(events[:0], packet.end_us)

    def _on_sensor(self, events: EventArray) -> EventArray:
        width, height = self.geometry.sensor
        good = (events["x"] < width) & (events["y"] < height)
        if good.all():
            return events
        n_bad = int((~good).sum())
        if self.policy == "raise":
            first = events[~good][0]
            raise EventRangeError(
                f"events must lie on the sensor of {width}x{height} pixels; got one at "
                f"x={first['x']}, y={first['y']}, t={first['t_us']} us ({n_bad} in the packet). "
                "Give the true sensor size, or read the recording with --lenient."
            )
        self.counters.off_sensor += n_bad
        return events[good]

    def _parts(self, events: EventArray) -> list[EventArray]:
        """Cut where the clock jumps, so that every part runs on one clock."""
        if len(events) < 2:
            return [events]
        jumps = np.flatnonzero(np.abs(np.diff(events["t_us"])) > self.max_gap_us) + 1
        return np.split(events, jumps) if len(jumps) else [events]

    def _begin(self, first_us: int, part: EventArray) -> None:
        """Open the first step, or restart where the clock has jumped."""
        if self.open_us is None:
            first_us = int(part["t_us"].min())
            self.open_us = first_us - first_us % self.dt_us
        elif first_us > self.open_us + self.max_gap_us + self.dt_us:
            self._restart(first_us, "gap")
        elif first_us < self.open_us - self.max_gap_us:
            self._restart(int(part["t_us"].min()), "clock reset")

    def _restart(self, first_us: int, why: str) -> None:
        if self.policy == "raise":
            raise EventOrderError(
                f"time must not jump by more than {self.max_gap_us} us; got a {why} from "
                f"{self.open_us} us to {first_us} us. Cut the recording there, raise --max-gap-us, "
                "or use --lenient."
            )
        self.counters.restarts += 1
        self.counters.late += len(self.pending)
        self.open_us = first_us - first_us % self.dt_us
        self.pending = self.pending[:0]
        self.restarting = True

    def _bin(self, events: EventArray, end_us: int) -> Iterator[InputSteps]:
        """Bin events of one clock, and give the steps that end at or before ``end_us``."""
        assert self.open_us is not None
        width = self.geometry.n_lanes * self.n_inputs
        steps = (events["t_us"] - self.open_us) // self.dt_us
        if len(steps) and steps.min() < 0:
            events, steps = self._without_late(events, steps)
        targets = self._targets(events)
        keys = (steps[:, None] * width + targets)[targets >= 0]
        keys = np.unique(np.concatenate((self.pending, keys)))
        n_closed = max(0, (end_us - self.open_us) // self.dt_us)
        n_done = int(np.searchsorted(keys, n_closed * width))
        self.pending = keys[n_done:] - n_closed * width
        for start in range(0, n_closed, MAX_CHUNK_STEPS):
            end = min(n_closed, start + MAX_CHUNK_STEPS)
            low, high = np.searchsorted(keys[:n_done], [start * width, end * width])
            yield self._chunk(keys[low:high] - start * width, end - start)

    def _without_late(
        self, events: EventArray, steps: npt.NDArray[np.int64]
    ) -> tuple[EventArray, npt.NDArray[np.int64]]:
        late = steps < 0
        if self.policy == "raise":
            raise EventOrderError(
                f"events must not be earlier than t={self.open_us} us, whose steps are done; got "
                f"t={int(events['t_us'][late][0])} us. Sort the recording, or use --lenient."
            )
        self.counters.late += int(late.sum())
        return events[~late], steps[~late]

    def _targets(self, events: EventArray) -> npt.NDArray[np.int64]:
        width, height = self.geometry.sensor
        x, y = events["x"].astype(np.int64), events["y"].astype(np.int64)
        targets: npt.NDArray[np.int64] = self.geometry.targets[
            (events["on"] * height + y) * width + x
        ].astype(np.int64)
        self.counters.outside += int((targets[:, 0] < 0).sum())
        return targets

    def _chunk(self, keys: npt.NDArray[np.int64], n_steps: int) -> InputSteps:
        """Sorted, distinct keys (step, lane, input) as input steps."""
        rows, indices = np.divmod(keys, self.n_inputs)
        offsets = np.searchsorted(rows, np.arange(n_steps * self.geometry.n_lanes + 1))
        return self.chunk(offsets.astype(np.int64), indices.astype(np.int32))

    def chunk(self, offsets: npt.NDArray[np.int64], indices: npt.NDArray[np.int32]) -> InputSteps:
        """Close the steps whose active inputs are given (see ``InputSteps``)."""
        assert self.open_us is not None
        n_lanes = self.geometry.n_lanes
        n_steps = (len(offsets) - 1) // n_lanes
        inputs = InputSteps(
            offsets,
            indices,
            n_lanes,
            self.n_inputs,
            self.next_step,
            self.open_us,
            self.dt_us,
            self.restarting,
        )
        self.restarting = False
        self.open_us += n_steps * self.dt_us
        self.next_step += n_steps
        self.counters.steps += n_steps
        return inputs
