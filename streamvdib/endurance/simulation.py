"""A whole life of an engine from one seed: crashes, loss of power, failing disk, bad input.

Clock, disk, source and the socket's queue are simulated and nothing runs in a thread, so the
same seed gives the same faults at the same moments. What comes in and what is commanded are
functions of (seed, number of the packet); beside the life that crashes and resumes, a reference
that never crashes gets the same, and both must agree whenever a checkpoint is loaded, at every
frame, and at the end.
"""

from __future__ import annotations

import errno
import random
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.checkpoints import Checkpoints, CheckpointWriter, Position
from streamvdib.endurance.disks import FaultyDisk, MemoryDisk
from streamvdib.endurance.wandering_learner import WanderingLearner
from streamvdib.endurance.workload import PACKET_US, SENSOR, packet, small_engine
from streamvdib.engine import Engine, Frame
from streamvdib.engine_description import make_described
from streamvdib.engine_state import state_digest
from streamvdib.errors import CheckpointError
from streamvdib.events import EventPacket, empty_events
from streamvdib.learning.guard import Guard
from streamvdib.session import Session
from streamvdib.session_log import SessionLog, rerun
from streamvdib.session_log.digests import frame_checksum

FOLDER = Path("/simulated")
N_PACKETS = 14
MOST_LIVES = 1000  # a disk that fails at every third call and loses power at every twentieth
KEEP = 2
LOG_FILES = 3
MAX_GAP_US = 20_000
QUEUE_FRAMES = 4
_PICTURE = np.linspace(0, 1, 25, dtype=np.float32).reshape(1, 5, 5)


class PowerLoss(BaseException):
    """Everything stops here. No ``Exception``: nothing may catch it and go on."""


@dataclass
class Outcome:
    """What a seed brought."""

    seed: int
    broken: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)  # what happened, in order

    def expect(self, holds: bool, text: str) -> None:
        """Note an invariant that is broken."""
        if not holds:
            self.broken.append(text)


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
    learner = WanderingLearner(engine.model, update_every=5)
    engine.learner, engine.targets = Guard(learner, engine.model), SimulatedTargets(seed)
    return engine


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


class Life:
    """One seed. Memory: a simulated disk, and a digest per packet."""

    def __init__(self, seed: int, n_packets: int = N_PACKETS) -> None:
        self.seed, self.n_packets = seed, n_packets
        self.outcome = Outcome(seed)
        self.clock = SimulatedClock()
        self.memory = MemoryDisk()
        self.chance = random.Random(seed)
        self.disk = FaultyDisk(self.memory, self._before_call)
        self.fault_rate = self.chance.choice([0.0, 0.05, 0.3])
        self.loss_rate = self.chance.choice([0.0, 0.01, 0.05])
        self.socket = SocketQueue()
        self.acknowledged = 0  # the newest generation that was said to be written
        self.digests: list[str] = []  # of the reference, before each packet
        self.frames: dict[tuple[int, int], int] = {}  # (packet, step) -> checksum, the reference's
        self.n_frames = self.n_lives = 0

    def run(self) -> Outcome:
        """Live; what was broken."""
        self._live_undisturbed()
        index = 0
        while index < self.n_packets and self.n_lives < MOST_LIVES:
            self.n_lives += 1
            try:
                index = self._live()
            except PowerLoss:
                self.outcome.trace.append("power lost")
                self.memory.lose_power(self.chance)
        self.outcome.expect(index >= self.n_packets, "a life must come to its end")
        self._check_log()
        return self.outcome

    def _live_undisturbed(self) -> None:
        engine = simulated_engine(self.seed)
        for index in range(self.n_packets):
            self.digests.append(state_digest(engine.snapshot()))
            command(engine, None, self.seed, index)
            for frame in engine.advance(simulated_packet(self.seed, index)):
                self.frames[index, frame.step] = frame_checksum(frame)
        self.digests.append(state_digest(engine.snapshot()))

    def _live(self) -> int:
        """From start or resume to the end or the next crash; the number of packets done."""
        self.socket.read_all()
        self.socket.last_step = -1
        checkpoints = self._opened()
        if checkpoints is None:
            return 0
        engine, index = simulated_engine(self.seed), 0
        checkpoint, damaged = self._found(checkpoints)
        self.outcome.expect(not damaged, f"no checkpoint may be damaged: {damaged}")
        if checkpoint is not None:
            index = int(checkpoint.extra["index"])
            self._check_resumed(engine, checkpoint, index)
        self.outcome.expect(
            (0 if checkpoint is None else checkpoint.generation) >= self.acknowledged,
            "a checkpoint that was said to be written must survive",
        )
        session = self._session(engine, checkpoints)
        return self._go_on(session, checkpoints, index)

    def _check_resumed(self, engine: Engine, checkpoint: Any, index: int) -> None:
        engine.restore(checkpoint.state)
        self.outcome.trace.append(f"resumed at packet {index}")
        self.outcome.expect(
            state_digest(engine.snapshot()) == self.digests[index],
            f"the state resumed at packet {index} must be the reference's",
        )

    def _go_on(self, session: Session, checkpoints: Checkpoints, first: int) -> int:
        engine = session.engine
        for index in range(first, self.n_packets):
            self.clock.now_s += self.chance.choice([0.001, 0.01, 1.0, 86_400.0])
            self._visit(checkpoints)
            command(engine, session, self.seed, index)
            for frame in session.advance(simulated_packet(self.seed, index)):
                self._take(frame, index)
            self.outcome.expect(
                state_digest(engine.snapshot()) == self.digests[index + 1],
                f"the state after packet {index} must be the reference's",
            )
            self._save(session, index + 1)
            if self.chance.random() < 0.1:
                self.socket.last_step = max([self.socket.last_step, *self.socket.read_all()])
        self._check_counts(engine)
        session.checkpoints = None  # the last checkpoint was written above
        session.close()
        checkpoints.close()
        return self.n_packets

    def _save(self, session: Session, index: int) -> None:
        writer = session.checkpoints
        if writer is None or self.chance.random() < 0.6:
            return
        n_written = writer.n_written
        writer.submit(session.engine.snapshot(), Position(), {"index": index})
        if writer.n_written > n_written and writer.last_generation is not None:
            self.acknowledged = writer.last_generation
            self.outcome.trace.append(f"generation {self.acknowledged} at packet {index}")

    def _take(self, frame: Frame, index: int) -> None:
        self.n_frames += 1
        expected = self.frames.get((index, frame.step))
        self.outcome.expect(
            frame_checksum(frame) == expected, f"frame {frame.step} must be the reference's"
        )
        self.outcome.expect(
            frame.step > self.socket.last_step, "frames must come in order, each once"
        )
        self.socket.last_step = frame.step
        self.socket.post(frame)

    def _check_counts(self, engine: Engine) -> None:
        counters = engine.binners[0].counters
        sent = sum(len(simulated_packet(self.seed, i).events) for i in range(self.n_packets))
        self.outcome.expect(counters.events == sent, "events taken must be those that were sent")
        refused = counters.off_sensor + counters.outside + counters.late
        self.outcome.expect(refused <= sent, "no more events can be refused than came")
        socket = self.socket
        self.outcome.expect(
            socket.n_posted == socket.n_read + socket.n_dropped + socket.n_held == self.n_frames,
            "frames posted must be those read, dropped or held",
        )

    def _visit(self, checkpoints: Checkpoints) -> None:
        """A second writer comes by, and is refused."""
        if self.chance.random() < 0.05:
            try:
                Checkpoints(checkpoints.folder, disk=self.memory)
            except CheckpointError:
                return
            self.outcome.expect(False, "a second writer must be refused")

    def _session(self, engine: Engine, checkpoints: Checkpoints) -> Session:
        writer = CheckpointWriter(checkpoints, every_s=1e12, clock=self.clock, threaded=False)
        log = SessionLog(
            FOLDER / "log",
            disk=FaultyDisk(self.memory, self._before_log_call),
            clock=self.clock,
            file_bytes=60_000,
            max_files=LOG_FILES,
            threaded=False,
        )
        return Session(engine, checkpoints=writer, log=log, learner={"seed": self.seed})

    def _opened(self) -> Checkpoints | None:
        try:
            return Checkpoints(FOLDER / "checkpoints", keep=KEEP, disk=self.disk)
        except CheckpointError:
            return None  # the disk failed while it was opened: tried again

    def _found(self, checkpoints: Checkpoints) -> tuple[Any, list[Any]]:
        """Without faults: a disk that cannot be read is no lost checkpoint."""
        before, self.disk.before = self.disk.before, _no_fault
        try:
            return checkpoints.find()
        finally:
            self.disk.before = before

    def _check_log(self) -> None:
        names = self.memory.names(FOLDER / "log")
        self.outcome.expect(
            len([name for name in names if name.endswith(".svlog")]) <= LOG_FILES + 1,
            "the log must stay bounded",
        )
        if names:
            report = rerun(FOLDER / "log", self._make, disk=self.memory)
            self.outcome.expect(report.first_difference is None, f"the log must repeat: {report}")

    def _make(self, about: dict[str, Any]) -> Engine:
        return make_described(
            about,
            make_learner=lambda engine, _: Guard(
                WanderingLearner(engine.model, update_every=5), engine.model
            ),
        )

    def _before_call(self, call: str, path: Path) -> None:
        if self.chance.random() < self.loss_rate:
            raise PowerLoss
        if call not in ("read", "lock") and self.chance.random() < self.fault_rate:
            number = self.chance.choice([errno.ENOSPC, errno.EIO, errno.EROFS])
            raise OSError(number, "fault on purpose", str(path))

    def _before_log_call(self, call: str, path: Path) -> None:
        if call in ("write", "append", "sync", "sync_folder"):
            self._before_call(call, path)


def simulate(seed: int, n_packets: int = N_PACKETS) -> Outcome:
    """Live the life of a seed; what was broken."""
    return Life(seed, n_packets).run()


def _no_fault(call: str, path: Path) -> None:
    """Nothing goes wrong."""
