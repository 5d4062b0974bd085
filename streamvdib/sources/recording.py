"""A recorded file as an event source: what a format module reads, checked and cut into packets."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from inspect import GEN_CLOSED, GEN_RUNNING, getgeneratorstate
from pathlib import Path

from streamvdib.errors import StreamVdibError
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.packets import Packetiser
from streamvdib.sources.policy import Block, Policy

ReadBlocks = Callable[[dict[str, int]], Iterator[Block]]
"""Reads a recording from its beginning; counts what it skips and repairs."""


class Recording:
    """A recording of any format.

    Each iteration reads from the beginning and has its counters reset. Memory: one block of the
    reader, and the packetiser's window.

    Args:
        path: of the file.
        format_name: for ``info``, such as ``AEDAT 2.0 (DVS128)``.
        sensor_size: what coordinates lie below.
        read_blocks: the format's reader.
        options: how to read.
    """

    is_live = False

    def __init__(
        self,
        path: Path,
        format_name: str,
        sensor_size: SensorSize,
        read_blocks: ReadBlocks,
        options: ReadOptions,
    ) -> None:
        self.name = str(path)
        self.format_name = format_name
        self.sensor_size = sensor_size
        self.counters: dict[str, int] = {}
        self._read_blocks = read_blocks
        self._options = options
        self._iterations: list[Generator[EventPacket, None, None]] = []

    def __iter__(self) -> Iterator[EventPacket]:
        self.counters.clear()
        iteration = self._packets()
        self._iterations = [one for one in self._iterations if getgeneratorstate(one) != GEN_CLOSED]
        self._iterations.append(iteration)
        return iteration

    def close(self) -> None:
        """End what iterates, so that its file is closed; iterating again starts again."""
        for iteration in self._iterations:
            if getgeneratorstate(iteration) != GEN_RUNNING:
                iteration.close()
        self._iterations.clear()

    def _packets(self) -> Generator[EventPacket, None, None]:
        """Packets of all events there are before an error, then the error."""
        packetiser = Packetiser(self._options.packet_us, self.name)
        policy = Policy(
            self.name,
            self.sensor_size,
            lenient=self._options.lenient,
            max_gap_us=self._options.max_gap_us,
            counters=self.counters,
        )
        error: StreamVdibError | None = None
        with closing(self._blocks()) as blocks:
            while error is None:
                try:
                    block = next(blocks)
                except StopIteration:
                    break
                except StreamVdibError as fault:
                    error = fault
                    break
                events, error = policy.check(block, packetiser.delivered_us)
                yield from packetiser.push(events, block.images if error is None else ())
            yield from packetiser.flush()
        if error is not None:
            raise error

    def _blocks(self) -> Generator[Block, None, None]:
        yield from self._read_blocks(self.counters)
