"""Disk full, read-only, missing, fsync errors: decoding goes on and nothing old is destroyed."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from streamvdib.checkpoints import Checkpoints, CheckpointWriter
from streamvdib.disk import RealDisk
from streamvdib.endurance.disks import Fault, FaultyDisk
from streamvdib.endurance.workload import packets, small_engine
from streamvdib.engine_description import make_described
from streamvdib.engine_state import EngineState, state_digest
from streamvdib.errors import CheckpointError, SinkError
from streamvdib.session import Session
from streamvdib.session_log import SessionLog, rerun

CALLS = ["write", "rename", "sync_folder"]


@pytest.fixture(scope="module")
def states() -> list[EngineState]:
    """States of one run, each a packet after the one before."""
    engine = small_engine(backend="torch")
    found = []
    for packet in packets(0, 6):
        engine.advance(packet)
        found.append(engine.snapshot())
    return found


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
@pytest.mark.parametrize("call", CALLS)
def test_a_write_that_fails_is_a_clear_error_and_leaves_what_was_there(
    tmp_path: Path, states: list[EngineState], call: str, number: int
) -> None:
    fault = Fault(call, number, first=3)
    with Checkpoints(tmp_path / "run", disk=FaultyDisk(RealDisk(), fault)) as checkpoints:
        checkpoints.write(states[0])
        checkpoints.write(states[1])
        for _ in range(4):
            with pytest.raises(CheckpointError, match="Older generations are untouched"):
                checkpoints.write(states[2])
        newest = checkpoints.load()
        expected = states[2] if call == "sync_folder" else states[1]
        assert state_digest(newest.state) == state_digest(expected)
        assert {1, 2} <= set(checkpoints.generations) or call == "sync_folder"
        assert not list((tmp_path / "run").glob("*.part"))


@pytest.mark.parametrize("call", CALLS)
def test_the_next_write_after_a_failure_succeeds(
    tmp_path: Path, states: list[EngineState], call: str
) -> None:
    disk = FaultyDisk(RealDisk(), Fault(call, first=2, n_times=1))
    with Checkpoints(tmp_path / "run", disk=disk) as checkpoints:
        checkpoints.write(states[0])
        with pytest.raises(CheckpointError):
            checkpoints.write(states[1])
        checkpoints.write(states[2])
        assert state_digest(checkpoints.load().state) == state_digest(states[2])


def test_old_generations_that_cannot_be_deleted_stay_and_do_no_harm(
    tmp_path: Path, states: list[EngineState]
) -> None:
    disk = FaultyDisk(RealDisk(), Fault("remove", errno.EACCES))
    with Checkpoints(tmp_path / "run", keep=1, disk=disk) as checkpoints:
        for state in states:
            checkpoints.write(state)
        assert len(checkpoints.generations) == len(states)
        assert state_digest(checkpoints.load().state) == state_digest(states[-1])


def test_a_folder_that_cannot_be_listed_is_told_and_its_lock_given_back(tmp_path: Path) -> None:
    disk = FaultyDisk(RealDisk(), Fault("names", errno.EIO, n_times=1))
    with pytest.raises(CheckpointError, match="can be listed"):
        Checkpoints(tmp_path / "run", disk=disk)
    Checkpoints(tmp_path / "run", disk=disk).close()


@pytest.mark.parametrize("call", [*CALLS, "append", "sync", "names", "remove"])
def test_decoding_goes_on_whatever_the_disk_does(tmp_path: Path, call: str) -> None:
    recording = packets(4, 20)
    alone = small_engine(backend="torch")
    expected = [frame for packet in recording for frame in alone.advance(packet)]
    writing = FaultyDisk(RealDisk(), Fault("none"))
    engine = small_engine(backend="torch")
    log = SessionLog(tmp_path / "log", disk=writing)
    with Checkpoints(tmp_path / "run", disk=writing) as checkpoints:
        writing.before = Fault(call, errno.EIO)
        writer = CheckpointWriter(checkpoints)
        frames = []
        with Session(engine, checkpoints=writer, log=log) as session:
            for packet in recording:
                frames += session.advance(packet)
                writer.flush()
                log.flush()
    assert len(frames) == len(expected)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(frames, expected, strict=True))
    failures = session.counters["checkpoints_failed"] + session.counters["log_failures"]
    assert failures > 0 or call in ("names", "remove", "sync")


def test_a_log_goes_on_in_a_new_section_after_the_disk_is_mended(tmp_path: Path) -> None:
    now_s = 0.0
    disk = FaultyDisk(RealDisk(), Fault("append", first=30, n_times=1))
    log = SessionLog(tmp_path / "log", disk=disk, clock=lambda: now_s, threaded=False)
    engine = small_engine(backend="torch")
    with Session(engine, log=log) as session:
        for packet in packets(1, 30):
            session.advance(packet)
            now_s += 1.0
    assert log.n_failed == log.n_broken == 1
    assert len(list((tmp_path / "log").glob("*.svlog"))) == 2
    report = rerun(tmp_path / "log", make_described)
    assert report.first_difference is None
    assert 0 < report.n_steps < engine.statistics.steps
    assert "damaged" in report.endings[0] or "cut off" in report.endings[0]


def test_a_full_disk_is_met_for_real(tmp_path: Path, states: list[EngineState]) -> None:
    """The system's own limit on file sizes stands for a disk without room."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.write(states[0])
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
            with pytest.raises(CheckpointError, match="File too large"):
                checkpoints.write(states[1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert checkpoints.generations == [1]
        assert state_digest(checkpoints.load().state) == state_digest(states[0])


def test_a_missing_folder_is_made_and_a_missing_parent_is_refused(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "new") as checkpoints:
        assert checkpoints.generations == []
        assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o700
    with pytest.raises(CheckpointError, match="No such file"):
        Checkpoints(tmp_path / "no" / "parent")
    with pytest.raises(SinkError, match="No such file"):
        SessionLog(tmp_path / "no" / "parent")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError):
        Checkpoints(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_folder_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o500)
    with pytest.raises(CheckpointError, match="can be written"):
        Checkpoints(tmp_path / "run")


def test_a_folder_that_turns_read_only_is_told(tmp_path: Path) -> None:
    disk = FaultyDisk(RealDisk(), Fault("lock", errno.EROFS))
    with pytest.raises(CheckpointError, match="can be written"):
        Checkpoints(tmp_path / "run", disk=disk)


def test_the_anchor_and_the_newest_are_never_deleted(
    tmp_path: Path, states: list[EngineState]
) -> None:
    with Checkpoints(tmp_path / "run", keep=1) as checkpoints:
        checkpoints.write(states[0])
        checkpoints.set_anchor(1)
        for state in states[1:]:
            checkpoints.write(state)
        assert checkpoints.generations == [1, len(states)]
        checkpoints.set_anchor(len(states))
        checkpoints.write(states[0])
        assert checkpoints.generations == [len(states), len(states) + 1]
        with pytest.raises(CheckpointError):
            checkpoints.set_anchor(77)


def test_after_going_back_the_next_file_is_still_the_newest(
    tmp_path: Path, states: list[EngineState]
) -> None:
    """Generations are numbered, not steps: going back in steps deletes nothing new."""
    with Checkpoints(tmp_path / "run", keep=2) as checkpoints:
        for state in (states[3], states[4], states[0], states[1]):
            checkpoints.write(state)
        assert checkpoints.generations == [3, 4]
        assert checkpoints.load().state.about["step"] == states[1].about["step"]
