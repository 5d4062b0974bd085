"""Ordinary packets through the compiled binner; anything else is left to ``binning``.

A packet is ordinary where time runs forwards on the sensor's one clock and every event lies on
the sensor. Nothing is remembered between packets but working arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.backends.binning_tables import empty_map, pixel_places
from streamvdib.backends.numba_binning import SLACK, are_ordinary, bin_events
from streamvdib.events import EventPacket
from streamvdib.input_steps import InputSteps

if TYPE_CHECKING:
    from streamvdib.binning import Binner

MAX_CHUNK_STEPS = 1024
N_PLACES = 32  # events whose places are looked up before they are marked


class Binned(NamedTuple):
    """What became of a run of events."""

    n_taken: int  # the first event left
    offsets: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    pending: npt.NDArray[np.int64]
    n_outside: int


class QuickBinning:
    """Bins for a ``Binner``, which keeps the state.

    Memory: 9 bytes and one bit per input line, and the indices of one packet while it is given out.
    """

    def __init__(self, binner: Binner) -> None:
        self.binner = binner
        self.n_lanes, self.n_inputs = binner.geometry.n_lanes, binner.n_inputs
        self.pixels = pixel_places(binner.geometry)
        self.active = empty_map(self.n_lanes, self.n_inputs)
        self.n_most_targets = len(self.pixels.columns) * len(self.pixels.rows)
        self.places = np.empty(N_PLACES, np.int64)
        self.left = np.empty(self.n_lanes * self.n_inputs + SLACK, np.int64)

    def push(self, packet: EventPacket) -> Iterator[InputSteps] | None:
        """The steps that a packet completes; None, and nothing done, if it is not ordinary."""
        binner, events = self.binner, packet.events
        open_us = binner.open_us
        if open_us is None:
            if not len(events):
                return None
            first_us = int(events["t_us"][0])
            open_us = first_us - first_us % binner.dt_us
        end_us = max(packet.end_us, int(events["t_us"][-1]) + 1) if len(events) else packet.end_us
        if not 0 <= end_us - open_us <= binner.max_gap_us:
            return None
        n_closed = (end_us - open_us) // binner.dt_us
        if n_closed <= MAX_CHUNK_STEPS:
            return self._one_chunk(packet, open_us, n_closed)
        width, height = binner.geometry.sensor
        if not are_ordinary(events, open_us, binner.max_gap_us, width, height):
            return None
        return self._chunks(packet, open_us, n_closed)

    def _one_chunk(
        self, packet: EventPacket, open_us: int, n_closed: int
    ) -> Iterator[InputSteps] | None:
        """As ``_chunks``, but the events are looked at only once."""
        binner, n_events = self.binner, len(packet.events)
        binned = self._bin(packet, 0, open_us, n_closed)
        if binned.n_taken < n_events:
            return None
        binner.open_us = open_us
        binner.counters.events += n_events
        binner.counters.outside += binned.n_outside
        binner.pending = binned.pending
        return iter([binner.chunk(binned.offsets, binned.indices)] if n_closed else [])

    def _chunks(self, packet: EventPacket, open_us: int, n_closed: int) -> Iterator[InputSteps]:
        """Steps of a packet that is known to be ordinary, a bounded number at a time."""
        binner = self.binner
        binner.open_us = open_us
        binner.counters.events += len(packet.events)
        n_taken = 0
        for start in range(0, n_closed, MAX_CHUNK_STEPS):
            n_steps = min(n_closed - start, MAX_CHUNK_STEPS)
            binned = self._bin(packet, n_taken, binner.open_us, n_steps)
            n_taken = binned.n_taken
            binner.counters.outside += binned.n_outside
            binner.pending = binned.pending
            yield binner.chunk(binned.offsets, binned.indices)

    def _bin(self, packet: EventPacket, first: int, open_us: int, n_steps: int) -> Binned:
        events, pending = packet.events, self.binner.pending
        offsets = np.empty(n_steps * self.n_lanes + 1, np.int64)
        n_targets = (len(events) - first) * self.n_most_targets + len(pending)
        indices = np.empty(n_targets + SLACK, np.int32)
        n_taken, n_active, n_left, n_outside = bin_events(
            events,
            first,
            open_us,
            self.binner.dt_us,
            n_steps,
            *self.pixels,
            self.n_inputs,
            *self.active,
            self.places,
            pending,
            offsets,
            indices,
            self.left,
        )
        return Binned(n_taken, offsets, indices[:n_active], self.left[:n_left].copy(), n_outside)
