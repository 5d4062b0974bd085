"""What every way in becomes: the active inputs of each time step and lane.

Events, sound and synthetic spikes all reach the encoder in this form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class InputSteps:
    """Consecutive time steps as lists of active inputs (compressed sparse rows).

    The active inputs of step s (from 0 within this chunk) in lane l are
    ``indices[offsets[s * n_lanes + l] : offsets[s * n_lanes + l + 1]]``, ascending and without
    repetition, so a sum over them does not depend on how the events were ordered.
    """

    offsets: npt.NDArray[np.int64]  # (n_steps * n_lanes + 1,)
    indices: npt.NDArray[np.int32]  # input line within the lane, (n_active,)
    n_lanes: int
    n_inputs: int
    first_step: int  # number of the first step since the run began
    start_us: int  # sensor time at which the first step begins
    dt_us: int
    restarts: bool = False  # the sensor's clock jumped just before: forget the past

    @property
    def n_steps(self) -> int:
        """Steps in this chunk."""
        return (len(self.offsets) - 1) // self.n_lanes

    @property
    def end_us(self) -> int:
        """Sensor time at which the last step ends."""
        return self.start_us + self.n_steps * self.dt_us

    def part(self, start: int, end: int) -> InputSteps:
        """Steps ``start`` to ``end`` (half-open) of this chunk; only the first part restarts."""
        if start == 0 and end == self.n_steps:
            return self
        offsets = self.offsets[start * self.n_lanes : end * self.n_lanes + 1]
        return InputSteps(
            offsets - offsets[0],
            self.indices[offsets[0] : offsets[-1]],
            self.n_lanes,
            self.n_inputs,
            self.first_step + start,
            self.start_us + start * self.dt_us,
            self.dt_us,
            self.restarts and start == 0,
        )

    def dense(self) -> npt.NDArray[np.uint8]:
        """Zeros and ones, (n_steps, n_lanes, n_inputs)."""
        rows = np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))
        dense = np.zeros((len(self.offsets) - 1, self.n_inputs), dtype=np.uint8)
        dense[rows, self.indices] = 1
        return dense.reshape(self.n_steps, self.n_lanes, self.n_inputs)


def input_steps(
    spikes: npt.ArrayLike, *, first_step: int = 0, start_us: int = 0, dt_us: int = 1000
) -> InputSteps:
    """Input steps from zeros and ones, (n_steps, n_lanes, n_inputs).

    >>> input_steps([[[0, 1, 1]], [[1, 0, 0]]]).indices.tolist()
    [1, 2, 0]
    """
    dense = np.asarray(spikes) != 0
    n_steps, n_lanes, n_inputs = dense.shape
    rows, columns = np.nonzero(dense.reshape(n_steps * n_lanes, n_inputs))
    offsets = np.zeros(n_steps * n_lanes + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n_steps * n_lanes), out=offsets[1:])
    return InputSteps(
        offsets, columns.astype(np.int32), n_lanes, n_inputs, first_step, start_us, dt_us
    )
