"""What an engine that serves went through is logged and repeated; one that lags gives up load."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamvdib.services.engine_station import EngineStation

from streamvdib.cli import main
from streamvdib.endurance.workload import packets, small_engine
from streamvdib.engine_description import make_described
from streamvdib.session import Session
from streamvdib.session_log import SessionLog, rerun
from streamvdib.shedding import DECODE_FACTOR, Bounds, Shedding


def test_a_served_session_with_its_commands_is_repeated_exactly(tmp_path: Path) -> None:
    log = SessionLog(tmp_path / "log")
    engine = small_engine(backend="torch", policy="count")
    station = EngineStation(engine, ["one"], make_session=lambda made: Session(made, log=log))
    n_frames = 0
    for index, packet in enumerate(packets(1, 30)):
        n_frames += len(station.advance("one", packet))
        if index == 10:
            station.decode_every = 2
    station.close()
    log.close()
    report = rerun(tmp_path / "log", make_described)
    assert report.first_difference is None
    assert report.n_frames == n_frames > 0
    assert station.read().safety["log_failures"] == 0


def test_a_service_that_lags_gives_up_frames_and_says_so() -> None:
    now_s = [0.0]
    shedding = Shedding(lambda: now_s[0], Bounds(lag_s=0.1))
    engine = small_engine(backend="torch", policy="count")
    station = EngineStation(
        engine,
        ["one"],
        make_session=lambda made: Session(made, shedding=shedding),
        lag_s=lambda _stream, _end_us: 1.0,
    )
    before = station.decode_every
    for packet in packets(1, 3):
        station.advance("one", packet)
        now_s[0] += 0.4
    station.advance("one", next(iter(packets(2, 1))))
    assert station.read().safety["shedding_level"] == 1
    assert station.decode_every == before * DECODE_FACTOR


def test_a_decode_interval_set_while_frames_are_given_up_holds_when_load_is_normal_again() -> None:
    now_s, lag_s = [0.0], [1.0]
    shedding = Shedding(lambda: now_s[0], Bounds(lag_s=0.1))
    station = EngineStation(
        small_engine(backend="torch", policy="count"),
        ["one"],
        make_session=lambda made: Session(made, shedding=shedding),
        lag_s=lambda _stream, _end_us: lag_s[0],
    )
    some = iter(packets(1, 8))
    while station.read().safety["shedding_level"] == 0:
        now_s[0] += 0.4
        station.advance("one", next(some))
    station.decode_every = 3
    assert station.decode_every == 3 * DECODE_FACTOR
    lag_s[0] = 0.0
    for _ in range(4):
        now_s[0] += 5.0
        station.advance("one", next(some))
    assert station.read().safety["shedding_level"] == 0
    assert station.decode_every == 3


@pytest.mark.parametrize("option", ["--shed-lag-ms", "--memory-mb"])
def test_a_limit_below_zero_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    assert main(["serve", str(tmp_path), option, "-1"]) == 2
    assert option in capsys.readouterr().err
