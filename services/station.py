"""What the service needs of an engine: one protocol, so that a fake can stand in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from streamvdib.events import EventPacket


class DecodedFrame(Protocol):
    """``streamvdib.engine.Frame``, as the service reads it."""

    @property
    def step(self) -> int:
        """The last time step it has seen."""
        ...

    @property
    def start_us(self) -> int:
        """Sensor time at which its window begins."""
        ...

    @property
    def end_us(self) -> int:
        """Sensor time at which its last step ends."""
        ...

    @property
    def pixels(self) -> npt.NDArray[np.float32]:
        """(n_streams, height, width), in 0 to 1."""
        ...


@dataclass(frozen=True)
class Learning:
    """How learning stands: what the page plots and control may change."""

    on: bool = False
    beta: float = 0.0
    learning_rate: float = 0.0
    loss: float | None = None  # of the last update, nats per step
    score: float | None = None  # test-then-train, the learner's own measure
    nats_per_step: float | None = None  # directed information that the spikes cost


@dataclass(frozen=True)
class Reading:
    """What an engine says of itself between two packets."""

    step: int
    n_spikes: int = 0  # since the start
    generation: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    learning: Learning | None = None  # None where the engine has no learner
    safety: Mapping[str, int] = field(default_factory=dict)  # counters: shedding, log, alarms


Result = dict[str, Any] | Future[dict[str, Any]]


class Station(Protocol):
    """An engine with its streams. Every method is called by the engine's thread alone."""

    frame_shape: tuple[int, ...]  # of one stream: height, width
    decode_every: int  # steps; may be set

    @property
    def streams(self) -> Sequence[str]:
        """Their names."""
        ...

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    @property
    def seed(self) -> int:
        """Of the random draws."""
        ...

    def advance(self, stream: str, packet: EventPacket) -> Sequence[DecodedFrame]:
        """Push what came from one stream's source; every frame that fell due."""
        ...

    def decode(self) -> DecodedFrame | None:
        """A frame now; None before the first step."""
        ...

    def take_spikes(self) -> npt.NDArray[np.uint8]:
        """Readout spikes, 0 or 1, since the last call, (n_streams, n_steps, n_neurons)."""
        ...

    def read(self) -> Reading:
        """Totals and state; cheap."""
        ...

    def describe(self, stream: str) -> dict[str, Any]:
        """What a newcomer is told of one stream: plain maps, text and numbers."""
        ...

    def operate(self, command: str, arguments: Mapping[str, Any]) -> Result:
        """Execute a control command that concerns the engine, between two packets.

        What takes long (writing) is finished elsewhere, and its result is a future.

        Raises:
            StreamVdibError: it cannot be done; nothing has changed.
        """
        ...

    def close(self) -> dict[str, Any]:
        """Write what must not be lost (a snapshot); what was written, for the closing table."""
        ...
