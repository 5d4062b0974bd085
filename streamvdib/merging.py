"""Several streams in step: their input steps side by side as lanes of one network.

Step k of every stream counts from that stream's own first event. A step goes on when every
stream has it, or when one stream is ``capacity`` steps ahead: then the streams that lag behind
get silent steps, counted as ``filled``, so that one dead camera does not stop the others. A
clock that jumps in one stream restarts them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streamvdib.errors import ConfigurationError
from streamvdib.input_steps import InputSteps

DEFAULT_CAPACITY = 1024


class StreamMerger:
    """Lines streams up by step. Memory: at most ``capacity`` steps of every stream."""

    def __init__(self, n_streams: int, *, capacity: int = DEFAULT_CAPACITY) -> None:
        if min(n_streams, capacity) < 1:
            raise ConfigurationError(
                f"streams and capacity must be at least 1; got {n_streams} and {capacity}"
            )
        self.capacity = capacity
        self.filled = 0  # silent steps put in for streams that lag
        self.next_step = 0
        self.queues: list[list[InputSteps]] = [[] for _ in range(n_streams)]
        self.owed = [0] * n_streams  # silent steps already given, taken off what comes late

    def push(self, stream: int, inputs: InputSteps) -> Iterator[InputSteps]:
        """Take steps of one stream; give the merged steps that are complete."""
        late = min(self.owed[stream], inputs.n_steps)
        self.owed[stream] -= late
        if late < inputs.n_steps:
            self.queues[stream].append(inputs.part(late, inputs.n_steps))
        ready = min(self._n_waiting(index) for index in range(len(self.queues)))
        ahead = self._n_waiting(stream) - self.capacity
        n_steps = max(ready, ahead)
        if n_steps > 0:
            yield self._merge([self._take(i, n_steps, inputs) for i in range(len(self.queues))])

    def _n_waiting(self, stream: int) -> int:
        return sum(inputs.n_steps for inputs in self.queues[stream])

    def _take(self, stream: int, n_steps: int, like: InputSteps) -> list[InputSteps]:
        """The next ``n_steps`` of a stream, silent where it has none."""
        taken: list[InputSteps] = []
        queue = self.queues[stream]
        while n_steps > 0 and queue:
            first = queue.pop(0)
            if first.n_steps > n_steps:
                queue.insert(0, first.part(n_steps, first.n_steps))
                first = first.part(0, n_steps)
            taken.append(first)
            n_steps -= first.n_steps
        if n_steps > 0:
            self.filled += n_steps
            self.owed[stream] += n_steps
            taken.append(_silence(n_steps, like))
        return taken

    def _merge(self, streams: list[list[InputSteps]]) -> InputSteps:
        """Lanes of stream 0, then of stream 1, and so on."""
        dense = [np.concatenate([part.dense() for part in parts]) for parts in streams]
        lanes = np.concatenate(dense, axis=1)
        n_steps, n_lanes, n_inputs = lanes.shape
        rows, indices = np.nonzero(lanes.reshape(n_steps * n_lanes, n_inputs))
        first = streams[0][0]
        merged = InputSteps(
            np.searchsorted(rows, np.arange(n_steps * n_lanes + 1)),
            indices.astype(np.int32),
            n_lanes,
            n_inputs,
            self.next_step,
            first.start_us,
            first.dt_us,
            any(part.restarts for parts in streams for part in parts),
        )
        self.next_step += n_steps
        return merged


def _silence(n_steps: int, like: InputSteps) -> InputSteps:
    return InputSteps(
        np.zeros(n_steps * like.n_lanes + 1, dtype=np.int64),
        np.empty(0, dtype=np.int32),
        like.n_lanes,
        like.n_inputs,
        like.first_step,
        like.start_us,
        like.dt_us,
    )
