"""A long run on a live device that does everything wrong, on a disk that fails, while learning.

invariants    received = delivered + dropped + refused + held
the engine took what was delivered, no more and no less
frames in order; memory flat; steps in time
the newest checkpoint always loads, and a restart goes on from the same state
the log repeats exactly
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.allocator import give_back
from streamvdib.checkpoints import Checkpoints, CheckpointWriter, Position, load_checkpoint
from streamvdib.disk import RealDisk
from streamvdib.endurance.disks import FaultyDisk
from streamvdib.endurance.faulty_feed import FaultyFeed
from streamvdib.endurance.workload import packets, small_engine
from streamvdib.engine import Engine, Frame
from streamvdib.engine_description import make_described
from streamvdib.engine_state import state_digest
from streamvdib.errors import CheckpointError
from streamvdib.learning.guard import Guard, make_guarded_learner
from streamvdib.session import Session
from streamvdib.session_log import SessionLog, rerun
from streamvdib.shedding import Bounds, Shedding
from streamvdib.sources.clock import SystemClock
from streamvdib.sources.live import LiveOptions, LiveSource

LEARNER: dict[str, Any] = {"update_every": 50, "learning_rate": 1e-3, "guard": {"n_bad": 3}}
RESTART_EVERY_S = 20.0
SAMPLE_EVERY_S = 1.0
MOST_GROWTH = 0.01
SLOWEST_STEP_S = 0.25
_PICTURE = np.linspace(0, 1, 25, dtype=np.float32).reshape(1, 5, 5)


@dataclass
class Verdict:
    """What held and what did not."""

    broken: list[str] = field(default_factory=list)  # invariants, in words
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether every invariant held."""
        return not self.broken

    def expect(self, holds: bool, text: str) -> None:
        """Note an invariant that is broken, once per text."""
        if not holds and text not in self.broken:
            self.broken.append(text)


class PoisonedTargets:
    """A picture to learn, now and then replaced by what must be refused."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def at(self, end_us: int) -> npt.NDArray[np.float32] | None:
        """See ``Targets``."""
        draw = self._chance.random()
        if draw < 0.02:
            return np.full_like(_PICTURE, np.nan)
        if draw < 0.03:
            return np.full_like(_PICTURE, 1e20)
        if draw < 0.04:
            return _PICTURE[:, :3]
        return None if draw < 0.1 else _PICTURE


class Soak:
    """One soak. Memory: that of a session, and one number per second.

    Args:
        folder: for checkpoints and log; empty.
        seed: of every fault.
        minutes: how long.
        tell: takes a line now and then.
    """

    def __init__(
        self, folder: Path, seed: int, minutes: float, tell: Callable[[str], object] = print
    ) -> None:
        self.folder, self.seed, self.seconds, self.tell = folder, seed, 60 * minutes, tell
        self.verdict = Verdict()
        self.memory_kb: list[int] = []
        self._chance = random.Random(seed)
        self._disk_faults = random.Random(seed + 1)
        self._disk = FaultyDisk(RealDisk(), self._disk_fault)
        self._feed = FaultyFeed(seed, SystemClock())
        self._source = LiveSource(self._feed, LiveOptions(capacity=1 << 18))
        self._n_frames = self._n_steps = self._n_restarts = self._n_taken = self._n_dropped = 0
        self._last_frame: Frame | None = None
        self._slowest_s = 0.0
        self._counters: dict[str, int] = {}
        self._shedding = Shedding(time.monotonic, Bounds(lag_s=0.2, recover_s=2.0))
        _compile()
        self._session = self._begin(None)

    def run(self) -> Verdict:
        """Run until the time is over; what held and what did not."""
        began_s = time.monotonic()
        sample_s, restart_s = began_s + SAMPLE_EVERY_S, began_s + RESTART_EVERY_S
        for packet in self._source:
            now_s = time.monotonic()
            if now_s - began_s > self.seconds:
                break
            self._shedding.observe(self._lag_s())
            for frame in self._session.advance(packet):
                self._check_order(frame)
            self._n_taken += len(packet.events)
            if now_s >= sample_s:
                sample_s += SAMPLE_EVERY_S
                self._sample(now_s - began_s)
            if now_s >= restart_s:
                restart_s += RESTART_EVERY_S
                self._restart()
        self._end(time.monotonic() - began_s)
        return self.verdict

    def _lag_s(self) -> float:
        """Seconds behind the newest event, or one second where the queue is full already."""
        n_dropped = self._source.counters["queue_dropped"]
        is_full, self._n_dropped = n_dropped > self._n_dropped, n_dropped
        return max(self._source.status().lag_us / 1e6, float(is_full))

    def _begin(self, position: Position | None) -> Session:
        engine = small_engine(policy="count", max_gap_us=2_000_000, decode_every=20)
        engine.learner = make_guarded_learner(engine, LEARNER)
        engine.targets = PoisonedTargets(self._chance)
        self._checkpoints = Checkpoints(self.folder / "checkpoints", disk=self._disk)
        log = SessionLog(self.folder / "log", disk=RealDisk(), file_bytes=1 << 20, max_files=2)
        return Session(
            engine,
            checkpoints=CheckpointWriter(self._checkpoints, every_s=0.5),
            log=log,
            shedding=self._shedding,
            position=position,
            learner=LEARNER,
        )

    def _restart(self) -> None:
        """Close all, and go on in a new engine from the newest checkpoint."""
        before = state_digest(self._session.engine.snapshot())
        position = self._session.positions[0]
        self._close_session()
        writer, last_state = self._session.checkpoints, self._session.engine.snapshot()
        session = self._begin(position)
        if writer is not None and writer.last_error is None:
            last_state = self._checkpoints.load().state
            self.verdict.expect(
                state_digest(last_state) == before, "a restart must find the last state"
            )
        session.engine.restore(last_state)
        guard = session.engine.learner
        if isinstance(guard, Guard) and guard.frozen:
            guard.unfreeze()
        self._session = session
        self._n_restarts += 1
        give_back()

    def _close_session(self) -> None:
        session = self._session
        session.close()
        self._checkpoints.close()
        self._note_steps(session.engine)
        for name, count in session.counters.items():
            before = 0 if name.startswith("shedding_") else self._counters.get(name, 0)
            self._counters[name] = before + count  # load shedding counts through all restarts

    def _note_steps(self, engine: Engine) -> None:
        histogram = engine.statistics.step_latency
        self._slowest_s = max(self._slowest_s, histogram.percentile(99.9))

    def _check_order(self, frame: Frame) -> None:
        self._n_frames += 1
        last, self._last_frame = self._last_frame, frame
        self.verdict.expect(
            last is None or frame.step > last.step, "frames must come in order of their steps"
        )
        self.verdict.expect(
            bool(np.isfinite(frame.pixels).all()), "frames must hold finite numbers"
        )

    def _sample(self, second: float) -> None:
        self.memory_kb.append(_resident_kb())
        self.verdict.expect(self._newest_loads(), "the newest checkpoint must load")
        if len(self.memory_kb) % 60 == 0:
            engine = self._session.engine
            self.tell(
                f"{second:6.0f} s: {engine.step:,} steps, {self._n_frames:,} frames, "
                f"{self.memory_kb[-1] / 1024:.1f} MB, {self._source.status()}"
            )

    def _newest_loads(self) -> bool:
        """Read the newest as a stranger would; it may be replaced while it is looked for."""
        for _ in range(3):
            generations = self._checkpoints.generations
            try:
                if generations:
                    load_checkpoint(self._checkpoints.path(generations[-1]))
                return True
            except CheckpointError:
                continue
        return False

    def _disk_fault(self, call: str, path: Path) -> None:
        if call in ("write", "rename", "sync_folder") and self._disk_faults.random() < 0.05:
            number = self._disk_faults.choice([errno.ENOSPC, errno.EIO, errno.EROFS])
            raise OSError(number, "fault on purpose", str(path))

    def _end(self, seconds: float) -> None:
        self._close_session()
        self._source.close()
        status, verdict = self._source.status(), self.verdict
        accounted = status.n_delivered + status.n_dropped + status.n_refused + status.n_held
        verdict.expect(
            status.n_received == accounted,
            f"received must equal delivered + dropped + refused + held: {status.n_received} "
            f"and {accounted}",
        )
        taken = self._session.positions[0].n_events
        verdict.expect(
            taken == self._n_taken <= status.n_delivered,
            f"the engine must take what is delivered: {taken} of {status.n_delivered}",
        )
        report = rerun(self.folder / "log", _make)
        verdict.expect(report.first_difference is None, f"the log repeats: {report}")
        verdict.expect(report.n_steps > 0, "the log must hold steps to repeat")
        verdict.expect(
            self._slowest_s < SLOWEST_STEP_S,
            f"p99.9 of a step must stay below {SLOWEST_STEP_S} s: {self._slowest_s:.3f} s",
        )
        growth = self._growth()
        verdict.expect(
            growth <= MOST_GROWTH, f"memory must be flat to 1 %: it grew by {growth:.2%}"
        )
        self._tell_figures(seconds, growth, report.n_steps)

    def _growth(self) -> float:
        """Growth of resident memory from the second quarter's median to the last quarter's."""
        quarter = len(self.memory_kb) // 4
        if quarter < 3:
            return 0.0
        early = float(np.median(self.memory_kb[quarter : 2 * quarter]))
        return float(np.median(self.memory_kb[-quarter:])) / early - 1

    def _tell_figures(self, seconds: float, growth: float, n_repeated: int) -> None:
        engine, status = self._session.engine, self._source.status()
        guard = engine.learner
        self.verdict.figures = {
            "seed": str(self.seed),
            "seconds": f"{seconds:.0f}",
            "events received": f"{status.n_received:,}",
            "events dropped, refused": f"{status.n_dropped:,}, {status.n_refused:,}",
            "reconnections": str(status.n_reconnections),
            "steps, frames": f"{engine.step:,}, {self._n_frames:,}",
            "restarts": str(self._n_restarts),
            "step p99.9 (worst session)": f"{1e6 * self._slowest_s:,.0f} us",
            "memory": f"{self.memory_kb[-1] / 1024:.1f} MB, growth {growth:+.2%}"
            if self.memory_kb
            else "not sampled",
            "steps repeated from the log": f"{n_repeated:,}",
            "episodes": ", ".join(f"{k} {v}" for k, v in self._feed.n_episodes.items()),
            "learning": str(guard.counts) if isinstance(guard, Guard) else "off",
            **{name: f"{count:,}" for name, count in self._counters.items()},
        }


def _compile() -> None:
    """Load what is compiled before anything is measured: steps, frames and updates."""
    engine = small_engine(policy="count", decode_every=20)
    engine.learner = make_guarded_learner(engine, LEARNER)
    engine.targets = PoisonedTargets(random.Random(0))
    for given in packets(0, 200):
        engine.advance(given)


def _make(about: dict[str, Any]) -> Engine:
    return make_described(about, make_learner=make_guarded_learner)


def _resident_kb() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4
