"""How far a run has come in what it reads, and how to get there again in a recording.

The position is a number of events, not a time: it holds through jumps of the sensor's clock and
however the recording is cut into packets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamvdib.errors import CheckpointError
from streamvdib.events import EventPacket


@dataclass(frozen=True)
class Position:
    """What has been taken from one source."""

    name: str = ""  # of the source
    index: int = 0  # which of the sources of a run that takes one after the other
    n_events: int = 0
    last_us: int | None = None  # time of the last event taken
    end_us: int | None = None  # end of the last packet taken

    def after(self, packet: EventPacket) -> Position:
        """The position once this packet has been taken as well."""
        n_events = len(packet.events)
        last_us = int(packet.events["t_us"][-1]) if n_events else self.last_us
        return Position(self.name, self.index, self.n_events + n_events, last_us, packet.end_us)


def skip_to(packets: Iterable[EventPacket], position: Position) -> Iterator[EventPacket]:
    """What is left of a recording after a position.

    Args:
        packets: the recording from its beginning, filtered as it was.
        position: where to go on.

    Raises:
        CheckpointError: the recording is shorter, or has another event at that place.
    """
    left = position.n_events
    for packet in packets:
        n_events = len(packet.events)
        if n_events < left:
            left -= n_events
            continue
        if left > 0:
            _check(int(packet.events["t_us"][left - 1]), position)
            packet = EventPacket(packet.events[left:], packet.end_us, packet.images)
            left = 0
        if position.end_us is None or len(packet.events) or packet.end_us > position.end_us:
            yield packet
    if left > 0:
        raise CheckpointError(
            f"a recording must hold the {position.n_events} events that were taken from it; "
            f"{left} are missing. Give the recording that the checkpoint was made from."
        )


def _check(t_us: int, position: Position) -> None:
    if t_us != position.last_us:
        raise CheckpointError(
            f"event {position.n_events} of the recording must be at t={position.last_us} us, where "
            f"the checkpoint was made; it is at t={t_us} us. Give the recording that the "
            "checkpoint was made from."
        )
