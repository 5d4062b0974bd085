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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamvdib.checkpoints import Checkpoints, CheckpointWriter, Position
from streamvdib.endurance.disks import FaultyDisk, MemoryDisk
from streamvdib.endurance.simulated_world import (
    SimulatedClock,
    SocketQueue,
    command,
    simulated_engine,
    simulated_learner,
    simulated_packet,
)
from streamvdib.engine import Engine, Frame
from streamvdib.engine_description import make_described
from streamvdib.engine_state import state_digest
from streamvdib.errors import CheckpointError
from streamvdib.session import Session
from streamvdib.session_log import SessionLog, rerun
from streamvdib.session_log.digests import frame_checksum

FOLDER = Path("/simulated")
N_PACKETS = 14
MOST_LIVES = 1000  # a disk that fails at every third call and loses power at every twentieth
KEEP = 2
LOG_FILES = 3


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
        return make_described(about, make_learner=lambda engine, _: simulated_learner(engine))

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
