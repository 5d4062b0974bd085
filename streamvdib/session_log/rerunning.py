"""Repeats a session from its log, and says where it first differs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.checkpoints.file import decode
from streamvdib.checkpoints.fingerprint import differences
from streamvdib.disk import Disk
from streamvdib.engine import Engine
from streamvdib.errors import RecordingError
from streamvdib.input_steps import InputSteps
from streamvdib.session_log.controls import apply_control
from streamvdib.session_log.digests import (
    frame_checksum,
    frame_from,
    step_checksums,
    steps_from,
)
from streamvdib.session_log.reader import Section, sections
from streamvdib.session_log.records import Kind, packet_from, table_from, target_from

MakeEngine = Callable[[dict[str, Any]], Engine]


@dataclass
class RerunReport:
    """What a rerun found."""

    n_sections: int = 0
    n_packets: int = 0
    n_steps: int = 0  # compared
    n_frames: int = 0  # compared
    first_difference: str | None = None
    endings: list[str] = field(default_factory=list)  # how each file ended
    machine_differences: list[str] = field(default_factory=list)


class _TargetsRanOut(Exception):  # noqa: N818 - not an error: the log was cut inside a packet
    """The log ends before the learner's next target."""


class LoggedInputs:
    """The targets of a log, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, npt.NDArray[np.float32] | None]] = deque()

    def at(self, end_us: int) -> npt.NDArray[np.float32] | None:
        """See ``Targets``."""
        if not self.waiting:
            raise _TargetsRanOut
        logged_us, target = self.waiting.popleft()
        if logged_us != end_us:
            raise RecordingError(
                f"the learner must ask for the targets of the log; it asked for that of {end_us} "
                f"us where the log has {logged_us} us"
            )
        return target


def rerun(path: Path, make_engine: MakeEngine, *, disk: Disk | None = None) -> RerunReport:
    """Repeat every section of a log.

    Args:
        path: a log's folder or one of its files.
        make_engine: an engine as the START record describes it; its state comes from the log.
        disk: where files come from.

    Returns:
        What was compared, and the first difference in words if there is one.
    """
    report = RerunReport()
    for section in sections(path, disk, report.endings):
        _Rerun(section, make_engine, report).run()
        report.n_sections += 1
        report.endings.append(f"{section.reader.path.name}: {section.reader.ended}")
        if report.first_difference is not None:
            break
    return report


class _Rerun:
    """One section."""

    def __init__(self, section: Section, make_engine: MakeEngine, report: RerunReport) -> None:
        self.section, self.report = section, report
        self.engine = make_engine(section.about)
        self.engine.restore(decode(section.state, str(section.reader.path)).state)
        self.inputs = LoggedInputs()
        if self.engine.learner is not None:
            self.engine.targets = self.inputs
        self.steps: deque[tuple[int, int]] = deque()  # (step, checksum) that came out
        self.frames: deque[tuple[int, int]] = deque()
        self.engine.observers.append(self._observe)
        for text in differences(section.about.get("fingerprint", {})):
            if text not in report.machine_differences:
                report.machine_differences.append(text)

    def run(self) -> None:
        """Give the engine what it was given, and compare what it gives with what it gave."""
        for step in _turns(self.section):
            try:
                self._repeat(step)
            except _TargetsRanOut:
                return
            if self.report.first_difference is not None:
                return

    def _repeat(self, turn: _Turn) -> None:
        payload = turn.payload
        if turn.kind is Kind.STATE:
            self.engine.restore(decode(payload, str(self.section.reader.path)).state)
        elif turn.kind is Kind.CONTROL:
            table = table_from(payload)
            apply_control(self.engine, table["name"], table["arguments"])
        elif turn.kind is Kind.PACKET:
            self.inputs.waiting.extend(turn.targets)
            stream, packet = packet_from(payload)
            self.steps.clear()
            self.frames.clear()
            self.report.n_packets += 1
            try:
                for frame in self.engine.advance(packet, stream):
                    self.frames.append((frame.step, frame_checksum(frame)))
            finally:
                self._compare("spikes", self.steps, turn.steps)
                self._compare("frame", self.frames, turn.frames)

    def _observe(self, inputs: InputSteps, spikes: npt.NDArray[np.uint8]) -> None:
        self.steps.extend(enumerate(map(int, step_checksums(spikes)), inputs.first_step))

    def _compare(
        self, what: str, ours: deque[tuple[int, int]], theirs: list[tuple[int, int]]
    ) -> None:
        """Compare as much as the log holds; its last packet may be cut short."""
        for (our_step, our_sum), (their_step, their_sum) in zip(ours, theirs, strict=False):
            if (our_step, our_sum) != (their_step, their_sum):
                self._differ(f"the {what} of step {their_step}")
                return
        if len(theirs) > len(ours) and self.report.first_difference is None:
            self._differ(f"the {what} of step {theirs[len(ours)][0]}, which did not come")
        n_compared = min(len(ours), len(theirs))
        if what == "frame":
            self.report.n_frames += n_compared
        else:
            self.report.n_steps += n_compared

    def _differ(self, text: str) -> None:
        if self.report.first_difference is None:
            self.report.first_difference = f"{self.section.reader.path.name}: {text}"


@dataclass
class _Turn:
    """A packet, command or state, and what the log says followed."""

    kind: Kind
    payload: bytes
    targets: list[tuple[int, npt.NDArray[np.float32] | None]] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    frames: list[tuple[int, int]] = field(default_factory=list)


def _turns(section: Section) -> Iterator[_Turn]:
    turn: _Turn | None = None
    for record in section.records:
        if record.kind in (Kind.PACKET, Kind.CONTROL, Kind.STATE, Kind.END):
            if turn is not None:
                yield turn
            turn = _Turn(record.kind, record.payload)
        elif turn is not None:
            _add(turn, record.kind, record.payload)
    if turn is not None:
        yield turn


def _add(turn: _Turn, kind: Kind, payload: bytes) -> None:
    if kind is Kind.TARGET:
        turn.targets.append(target_from(payload))
    elif kind is Kind.STEPS:
        first, checksums = steps_from(payload)
        turn.steps.extend(enumerate(map(int, checksums), first))
    elif kind is Kind.FRAME:
        turn.frames.append(frame_from(payload))
