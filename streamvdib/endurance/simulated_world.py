"""What surrounds a simulated engine: clock, stream, targets, control and client, from one seed."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import numpy.typing as npt

from streamvdib.endurance.wandering_learner import WanderingLearner
from streamvdib.endurance.workload import PACKET_US, SENSOR, packet, small_engine
from streamvdib.engine import Engine, Frame, Learner
from streamvdib.events import EventPacket, empty_events
from streamvdib.learning.guard import Guard
from streamvdib.session import Session

MAX_GAP_US = 20_000
QUEUE_FRAMES = 4
_PICTURE = np.linspace(0, 1, 25, dtype=np.float32).reshape(1, 5, 5)


class SimulatedClock:
    """Seconds that go up, and a wall clock that jumps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Seconds since the beginning of the simulation."""
        return self.now_s


class SocketQueue:
    """Frames for a client that now and then does not read: the oldest make room, counted."""

    def __init__(self) -> None:
        self.n_posted = self.n_read = self.n_dropped = 0
        self.last_step = -1
        self._frames: deque[Frame] = deque()

    @property
    def n_held(self) -> int:
        """Frames that wait."""
        return len(self._frames)

    def post(self, frame: Frame) -> None:
        """Add a frame."""
        self.n_posted += 1
        self._frames.append(frame)
        if len(self._frames) > QUEUE_FRAMES:
            self._frames.popleft()
            self.n_dropped += 1

    def read_all(self) -> list[int]:
        """Steps of the frames that the client takes, in order."""
        steps = [frame.step for frame in self._frames]
        self.n_read += len(steps)
        self._frames.clear()
        return steps


class SimulatedTargets:
    """Targets by time, some of which must be refused: a function of the seed and the time."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def at(self, end_us: int) -> npt.NDArray[np.float32] | None:
        """See ``Targets``."""
        draw = random.Random(self.seed * 1_000_003 + end_us).random()
        if draw < 0.1:
            return np.full_like(_PICTURE, np.nan)
        if draw < 0.15:
            return _PICTURE[:, :2]
        return None if draw < 0.3 else ((_PICTURE + draw) / 2).astype(np.float32)


def simulated_packet(seed: int, index: int) -> EventPacket:
    """Packet ``index`` of a seed's stream: mostly good, now and then late, off or reset."""
    chance = random.Random(seed * 7919 + index)
    start_us = 1_000_000 + sum(_jump(seed, earlier) for earlier in range(index + 1))
    whole = packet(seed, index, n_events=chance.choice([0, 1, 40, 40, 400]), start_us=start_us)
    events, kind = whole.events.copy(), chance.random()
    if len(events) and kind < 0.1:
        events["x"][:: chance.randint(1, 5)] += SENSOR.width
    elif len(events) and kind < 0.2:
        events["t_us"][:: chance.randint(2, 5)] -= chance.randrange(3 * PACKET_US)
    elif kind < 0.25:
        events = empty_events()
    return EventPacket(events, whole.end_us)


def _jump(seed: int, index: int) -> int:
    """How far the sensor's clock jumps before a packet."""
    chance = random.Random(seed * 104_729 + index)
    if chance.random() < 0.95:
        return 0
    return chance.choice([-200_000, 100_000, 3_000_000_000])


def simulated_engine(seed: int) -> Engine:
    """The engine of a life: learning, guarded."""
    engine = small_engine(
        backend="auto", policy="count", max_gap_us=MAX_GAP_US, decode_every=3, seed=seed
    )
    engine.learner, engine.targets = simulated_learner(engine), SimulatedTargets(seed)
    return engine


def simulated_learner(engine: Engine) -> Learner:
    """Its learner, with a guard."""
    return Guard(WanderingLearner(engine.model, update_every=5), engine.model)


def command(engine: Engine, session: Session | None, seed: int, index: int) -> None:
    """What control says before a packet: the same in every life of the seed."""
    chance = random.Random(seed * 15_485_863 + index)
    if chance.random() < 0.1:
        steps = {"steps": chance.choice([1, 2, 3, 7])}
        if session is None:
            engine.decode_every = steps["steps"]
        else:
            session.control("decode_every", steps)
    if chance.random() < 0.05:
        engine.restart()
        if session is not None:
            session.changed("forget", {})
