"""A thread that dies is named; decoding goes on or ends with an error, never in silence."""

from pathlib import Path

import pytest

from streamvdib.checkpoints import Checkpoints, CheckpointWriter
from streamvdib.endurance.workload import SENSOR, packets, small_engine
from streamvdib.errors import CheckpointError, LiveSourceError
from streamvdib.session import Session
from streamvdib.session_log import SessionLog
from streamvdib.sources.feed import Batch
from streamvdib.sources.live import LiveSource


def test_a_dead_checkpoint_writer_is_named_and_decoding_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = small_engine(backend="torch")
    with Checkpoints(tmp_path / "run") as checkpoints:
        writer = CheckpointWriter(checkpoints)
        with writer._changed:
            writer._closing = True
            writer._changed.notify_all()
        assert writer._thread is not None
        writer._thread.join(10)
        writer._closing = False
        with pytest.raises(CheckpointError, match="thread 'checkpoints' has ended"):
            writer.submit(engine.snapshot())
        session = Session(engine, checkpoints=writer)
        n_frames = sum(len(session.advance(packet)) for packet in packets(0, 5))
        session.close()
    assert n_frames == engine.step > 0
    assert "thread 'checkpoints' has ended" in caplog.text


def test_a_dead_log_is_named_and_decoding_goes_on(tmp_path: Path) -> None:
    engine, log = small_engine(backend="torch"), SessionLog(tmp_path / "log")
    with log._changed:
        log._closing = True
        log._changed.notify_all()
    assert log._thread is not None
    log._thread.join(10)
    with Session(engine, log=log) as session:
        n_frames = sum(len(session.advance(packet)) for packet in packets(0, 5))
    assert n_frames == engine.step > 0
    assert log.last_error == "the thread 'session log' has ended"
    assert log.counters["log_breaks"] >= 1


class BrokenFeed:
    """A device whose driver fails in a way that nobody foresaw."""

    name, time_bits, sensor_size = "broken", 64, SENSOR
    counters: dict[str, int] = {}  # noqa: RUF012 - a fake

    def open(self) -> None:
        pass

    def read(self, timeout_s: float) -> Batch | None:
        raise ZeroDivisionError

    def close(self) -> None:
        pass


def test_a_dead_reading_thread_is_an_error_and_no_silence() -> None:
    source = LiveSource(BrokenFeed())
    with pytest.raises(LiveSourceError, match="ZeroDivisionError"):
        list(source)
    source.close()
