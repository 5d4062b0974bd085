"""Fewer steps and fewer lanes than came in, for a machine that is too slow.

Merging makes ``merge`` consecutive steps into one that holds the inputs of all of them: the
network sees the scene ``merge`` times as fast. Lanes whose number is no multiple of
``lane_stride`` get silence. Nothing is reordered or repeated, and sensor time stays true.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps


@dataclass(frozen=True)
class Thinning:
    """How much is given up.

    >>> from streamvdib.input_steps import input_steps
    >>> thin = Thinning(merge=2).apply(input_steps([[[1, 0]], [[0, 1]], [[1, 0]]]))
    >>> [(part.dense().tolist(), part.end_us) for part in thin]
    [([[[1, 1]]], 2000), ([[[1, 0]]], 3000)]
    """

    merge: int = 1  # steps that become one
    lane_stride: int = 1  # 1 keeps every lane

    def __post_init__(self) -> None:
        if min(self.merge, self.lane_stride) < 1:
            raise ConfigurationError(f"thinning takes numbers of at least 1; got {self}")

    def apply(self, inputs: InputSteps) -> Iterator[InputSteps]:
        """The same time in fewer steps and lanes; at most two chunks."""
        n_whole = inputs.n_steps - inputs.n_steps % self.merge
        for start, end in ((0, n_whole), (n_whole, inputs.n_steps)):
            if end > start:
                yield self._merged(inputs.part(start, end), min(self.merge, end - start))

    def _merged(self, inputs: InputSteps, merge: int) -> InputSteps:
        n_steps, n_lanes, n_inputs = inputs.n_steps // merge, inputs.n_lanes, inputs.n_inputs
        rows = np.repeat(np.arange(len(inputs.offsets) - 1), np.diff(inputs.offsets))
        steps, lanes = np.divmod(rows, n_lanes)
        kept = lanes % self.lane_stride == 0
        rows = (steps // merge * n_lanes + lanes)[kept]
        keys = np.unique(rows * n_inputs + inputs.indices[kept])
        rows, indices = np.divmod(keys, n_inputs)
        return InputSteps(
            np.searchsorted(rows, np.arange(n_steps * n_lanes + 1)).astype(np.int64),
            indices.astype(np.int32),
            n_lanes,
            n_inputs,
            inputs.first_step,
            inputs.start_us,
            inputs.dt_us * merge,
            inputs.restarts,
        )


NOT_THINNED = Thinning()
