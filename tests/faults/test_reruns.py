"""A session is repeated exactly from its log; what differs is named."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamvdib.endurance.wandering_learner import ConstantTargets, WanderingLearner
from streamvdib.endurance.workload import packets, small_engine
from streamvdib.engine import Engine, Learner
from streamvdib.engine_description import make_described
from streamvdib.errors import RecordingError, SinkError
from streamvdib.learning.guard import make_guarded_learner
from streamvdib.session import Session
from streamvdib.session_log import LogReader, RerunReport, SessionLog, rerun
from streamvdib.session_log.reader import log_name
from streamvdib.shedding import Level, Shedding

STEPPING = ("numba", "torch")  # see ``tests/checkpoints/test_resuming.py``


def make_learner(engine: Engine, about: Mapping[str, Any]) -> Learner:
    if "estimator" in about:
        return make_guarded_learner(engine, about)
    return WanderingLearner(engine.model, update_every=int(about["update_every"]))


def make(about: dict[str, Any]) -> Engine:
    return make_described(about, make_learner=make_learner)


def learning_engine(backend: str = "torch") -> Engine:
    engine = small_engine(backend=backend, policy="count")
    engine.learner = WanderingLearner(engine.model, update_every=3)
    engine.targets = ConstantTargets()
    return engine


def log_session(folder: Path, engine: Engine, n_packets: int = 30, **options: Any) -> SessionLog:
    log = SessionLog(folder, **options)
    about = None if engine.learner is None else {"update_every": engine.learner.update_every}
    with Session(engine, log=log, learner=about) as session:
        for index, packet in enumerate(packets(1, n_packets)):
            session.advance(packet)
            log.flush()
            if index == 10:
                session.control("decode_every", {"steps": 2})
            if index == 15:
                session.control("restart", {})
            if index == 20:
                engine.step += 1000  # no command that is known: the state is logged
                session.changed("jump", {})
    return log


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def assert_repeats(report: RerunReport) -> None:
    assert report.first_difference is None
    assert report.n_steps > 0
    assert report.n_frames > 0


def test_a_session_that_learns_in_compiled_loops_is_repeated_exactly(folder: Path) -> None:
    """A guard around it, and targets that come less often than updates."""
    about = {
        "estimator": "score", "optimiser": "sgd", "feedback": "random", "credit": "instantaneous",
        "backend": "compiled", "update_every": 1, "target_every": 4, "learning_rate": 0.01,
        "guard": {},
    }  # fmt: skip
    engine = small_engine(backend="numba", policy="count")
    engine.learner, engine.targets = make_guarded_learner(engine, about), ConstantTargets()
    before = engine.model.weights[0].synapses.clone()
    with Session(engine, log=SessionLog(folder), learner=about) as session:
        for index, packet in enumerate(packets(1, 20)):
            session.advance(packet)
            if index == 9:
                session.control("restart", {})
    assert engine.statistics.updates > 10
    assert (engine.model.weights[0].synapses - before).abs().max() > 0
    assert_repeats(rerun(folder, make))


@pytest.mark.parametrize("backend", STEPPING)
@pytest.mark.parametrize("learning", [False, True], ids=["still", "learning"])
def test_a_session_is_repeated_exactly(folder: Path, backend: str, learning: bool) -> None:
    engine = learning_engine(backend) if learning else small_engine(backend=backend, policy="count")
    log_session(folder, engine)
    report = rerun(folder, make)
    assert_repeats(report)
    assert report.n_packets == 30
    assert report.n_steps == engine.statistics.steps
    assert report.n_frames == engine.statistics.frames
    assert report.endings == [f"{log_name(1)}: closed"]


def test_a_rotated_log_is_bounded_and_every_file_repeats(folder: Path) -> None:
    log_session(folder, learning_engine(), 40, file_bytes=1, max_files=3)
    files = sorted(folder.glob("*.svlog"))
    assert len(files) == 3
    assert files[-1].name > log_name(3)
    assert_repeats(rerun(folder, make))
    for file in files:
        assert rerun(file, make).first_difference is None


@pytest.mark.parametrize("backend", STEPPING)
@pytest.mark.parametrize("estimator", ["pathwise", "score"])
def test_every_file_of_a_session_that_learns_by_eprop_repeats(
    folder: Path, backend: str, estimator: str
) -> None:
    """A file begins with the weights as they are: frames before and after must be made of them."""
    about = {"estimator": estimator, "update_every": 3, "learning_rate": 0.01, "guard": {}}
    engine = small_engine(backend=backend, policy="count")
    engine.learner, engine.targets = make_learner(engine, about), ConstantTargets()
    log = SessionLog(folder, file_bytes=1)
    with Session(engine, log=log, learner=about) as session:
        for packet in packets(1, 12):
            session.advance(packet)
            log.flush()
    assert engine.statistics.updates > 3
    report = rerun(folder, make)
    assert_repeats(report)
    assert report.n_sections == 12


@pytest.mark.parametrize("max_files", [1, 4, 16])
def test_a_log_keeps_as_many_files_as_it_may(folder: Path, max_files: int) -> None:
    engine = small_engine(backend="torch", policy="count")
    log_session(folder, engine, 9, file_bytes=1, max_files=max_files)
    assert len(list(folder.glob("*.svlog"))) == min(max_files, 9)


def test_a_log_cut_anywhere_repeats_up_to_the_cut(folder: Path) -> None:
    log_session(folder, learning_engine(), 12)
    file = folder / log_name(1)
    data = file.read_bytes()
    offsets = [record.offset for record in LogReader(file)]
    generator = np.random.default_rng(0)
    for n_bytes in generator.integers(offsets[2], len(data), 12):
        file.write_bytes(data[:n_bytes])
        report = rerun(folder, make)
        assert report.first_difference is None
        assert n_bytes in offsets or "cut off" in report.endings[0]


def test_a_flipped_bit_ends_the_rerun_there_with_the_reason(folder: Path) -> None:
    log_session(folder, learning_engine(), 12)
    file = folder / log_name(1)
    data = bytearray(file.read_bytes())
    middle = [record.offset for record in LogReader(file)][20]
    data[middle + 15] ^= 8
    file.write_bytes(data)
    report = rerun(folder, make)
    assert report.first_difference is None
    assert f"byte {middle}" in report.endings[0]


def test_the_first_step_that_differs_is_named(folder: Path) -> None:
    log_session(folder, small_engine(backend="torch", policy="count"))

    def make_other(about: dict[str, Any]) -> Engine:
        engine = make(about)
        steps_seen = 0

        def disturb(inputs: Any, _: Any) -> None:
            nonlocal steps_seen
            steps_seen += inputs.n_steps
            if steps_seen == 30:
                engine.window.ring[:] = 1

        engine.observers.append(disturb)
        return engine

    report = rerun(folder, make_other)
    assert report.first_difference == f"{log_name(1)}: the frame of step 29"


def test_another_seed_is_found_out_at_the_first_step_that_draws(folder: Path) -> None:
    log_session(folder, small_engine(backend="torch", policy="count"))

    def make_other(about: dict[str, Any]) -> Engine:
        engine = make(about)
        engine.backend.keys += 2  # type: ignore[attr-defined]
        return engine

    report = rerun(folder, make_other)
    assert report.first_difference is not None
    assert "the spikes of step" in report.first_difference


def test_load_shedding_is_repeated(folder: Path) -> None:
    engine = learning_engine()
    shedding = Shedding(clock=lambda: 0.0)
    with Session(
        engine, log=SessionLog(folder), shedding=shedding, learner={"update_every": 3}
    ) as session:
        for index, packet in enumerate(packets(2, 24)):
            shedding.level = Level(index // 4 % 4)
            session.advance(packet)
    assert engine.statistics.merged_steps > 0
    assert_repeats(rerun(folder, make))


def test_a_second_writer_of_a_log_is_refused(folder: Path) -> None:
    log = SessionLog(folder)
    with pytest.raises(SinkError, match="in use by process"):
        SessionLog(folder)
    log.close()


def test_what_is_no_log_is_refused(folder: Path) -> None:
    with pytest.raises(RecordingError):
        rerun(folder, make)
    folder.mkdir()
    with pytest.raises(RecordingError, match="there is none"):
        rerun(folder, make)
    (folder / log_name(1)).write_bytes(b"SVLOG\r\n\x02")
    with pytest.raises(RecordingError, match="newer streamvdib"):
        rerun(folder, make)
    (folder / log_name(1)).write_bytes(b"something else")
    with pytest.raises(RecordingError, match="must be a session log"):
        rerun(folder, make)


def test_a_record_that_claims_gigabytes_is_refused(folder: Path) -> None:
    log_session(folder, small_engine(backend="torch", policy="count"), 3)
    file = folder / log_name(1)
    whole = file.read_bytes()
    file.write_bytes(whole + bytes((3,)) + b"\xff" * 12)
    report = rerun(folder, make)
    assert "claims" in report.endings[0]


def test_a_file_cut_off_while_it_was_begun_is_passed_over(folder: Path) -> None:
    """Found by the simulation: a loss of power in the middle of the first write of a file."""
    log_session(folder, small_engine(backend="torch", policy="count"), 6, file_bytes=1)
    files = sorted(folder.glob("*.svlog"))
    files[2].write_bytes(files[2].read_bytes()[:500])
    report = rerun(folder, make)
    assert report.first_difference is None
    assert report.n_sections == len(files) - 1
    assert f"{files[2].name}: cut off at byte" in " ".join(report.endings)
    with pytest.raises(RecordingError, match="must begin with START and STATE"):
        rerun(files[2], make)
