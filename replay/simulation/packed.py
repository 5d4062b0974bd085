"""Many short recordings as packed bits: which inputs were active in which time step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.events import EventArray
from streamvdib.geometry import Box

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class PackedSteps:
    """Binary inputs of recordings of equal length.

    Input (polarity, row, column) of a step has the index ``(polarity * height + row) * width +
    column``, polarity 0 OFF and 1 ON; its bit is number index % 8 (least significant first) of
    byte index // 8: the order of ``streamvdib.geometry``. Memory: n_recordings x n_steps x n_bytes.
    """

    bits: Bits  # (n_recordings, n_steps, n_bytes)
    crop: Box
    dt_us: int

    @property
    def n_inputs(self) -> int:
        """Inputs of one step."""
        return 2 * self.crop.width * self.crop.height

    def unpack(self, recordings: npt.ArrayLike | slice) -> Bits:
        """Zeros and ones of some recordings, uint8, (n, n_steps, 2, height, width)."""
        chosen = self.bits[recordings] if isinstance(recordings, slice) else None
        if chosen is None:
            chosen = self.bits[np.atleast_1d(np.asarray(recordings))]
        flat = np.unpackbits(chosen, axis=-1, count=self.n_inputs, bitorder="little")
        return flat.reshape(*chosen.shape[:2], 2, self.crop.height, self.crop.width)


def empty_steps(n_recordings: int, n_steps: int, crop: Box, dt_us: int) -> PackedSteps:
    """Recordings without an event."""
    n_bytes = (2 * crop.width * crop.height + 7) // 8
    return PackedSteps(np.zeros((n_recordings, n_steps, n_bytes), np.uint8), crop, dt_us)


def pack_events(events: EventArray, steps: PackedSteps, recording: int) -> None:
    """Set the bits of one recording of ``steps`` (in place) from its events.

    Events outside the crop or after the last step are left out.
    """
    set_bits(
        steps.bits[recording], events["t_us"], events["x"].astype(np.int64),
        events["y"].astype(np.int64), events["on"].astype(np.int64),
        steps.dt_us, steps.crop.x, steps.crop.y, steps.crop.width, steps.crop.height,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def set_bits(
    bits: Bits, times: npt.NDArray[np.int64], x: npt.NDArray[np.int64],
    y: npt.NDArray[np.int64], on: npt.NDArray[np.int64],
    dt_us: int, left: int, top: int, width: int, height: int,
) -> None:  # fmt: skip
    """Set the bits (n_steps, n_bytes) of events at ``times``, ``x``, ``y``, ``on``, (n_events,)."""
    for event in range(times.size):
        step, column, row = times[event] // dt_us, x[event] - left, y[event] - top
        if not (0 <= step < bits.shape[0] and 0 <= column < width and 0 <= row < height):
            continue
        index = (on[event] * height + row) * width + column
        bits[step, index >> 3] |= np.uint8(1 << (index & 7))
