"""What an engine that serves went through is logged and repeated; one that lags gives up load."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamvdib.services.clocks import SensorClock
from streamvdib.services.engine_station import EngineStation
from streamvdib.services.intake import Intake
from streamvdib.services.keeping import Keeping, lag_of

from streamvdib.cli import main
from streamvdib.commands.safety import add_limit_arguments
from streamvdib.endurance.workload import SENSOR, packets, small_engine
from streamvdib.engine_description import make_described
from streamvdib.events import EventPacket
from streamvdib.session import Session
from streamvdib.session_log import SessionLog, rerun
from streamvdib.shedding import DECODE_FACTOR, Bounds, Level, Shedding
from streamvdib.sources.live_status import LiveStatus


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


class LiveFake:
    """Looks like a live source to what watches it."""

    name, is_live, sensor_size = "fake", True, SENSOR

    def __init__(self, lag_us: int = 0) -> None:
        self.counters: dict[str, int] = {}
        self.n_reconnected, self.lag_us = 0, lag_us

    def __iter__(self) -> Iterator[EventPacket]:
        return iter(packets(0, 4))

    def reconnect(self) -> None:
        self.n_reconnected += 1

    def status(self) -> LiveStatus:
        return LiveStatus("fake", True, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, self.lag_us)

    def close(self) -> None:
        pass


def kept(source: LiveFake, *words: str) -> tuple[Keeping, EngineStation]:
    parser = argparse.ArgumentParser()
    add_limit_arguments(parser)
    given = argparse.Namespace(**vars(parser.parse_args(words)), session_log=None)
    keeping = Keeping(given, {"one": source}, learner=None)
    station = EngineStation(
        small_engine(backend="torch", policy="count"),
        ["one"],
        make_session=keeping.session,
        watched=keeping.watched,
        alarms=lambda: keeping.counters,
    )
    return keeping, station


def test_a_service_connects_a_silent_source_anew_and_counts_it() -> None:
    source = LiveFake()
    keeping, station = kept(source, "--source-stall-s", "1e6")
    guardian = keeping._of_sources["one"]
    guardian.close()  # looked at by hand
    guardian.begins(is_live=True)
    keeping.arrived("one", packets(0, 1)[0])
    guardian.vitals.packet_s -= 2e6
    guardian.look()
    assert source.n_reconnected == 1
    assert station.read().safety["alarms_source"] == 1
    keeping.close()


def test_a_service_gives_up_frames_for_an_engine_that_stalled() -> None:
    keeping, station = kept(LiveFake(), "--decoder-stall-s", "1e6")
    guardian = keeping._of_engine
    assert guardian is not None
    guardian.close()
    with keeping.watched(0.0):
        assert guardian.vitals.began_s is not None
        guardian.vitals.began_s -= 2e6
        guardian.look()
    for packet in packets(1, 2):
        station.advance("one", packet)
    assert station.read().safety["alarms_decoder"] == 1
    assert station.read().safety["shedding_level"] == Level.DROP_DECODES
    assert station.decode_every == DECODE_FACTOR
    keeping.close()


def test_a_service_whose_memory_stays_full_ends_with_a_reason_to_be_started_again() -> None:
    keeping, _ = kept(LiveFake(), "--memory-mb", "1")
    guardian = keeping._of_engine
    assert guardian is not None
    guardian.close()
    for _ in range(4):
        assert keeping.failure is None
        guardian.look()
        guardian._relief_s -= 60.0
    assert "--memory-mb" in str(keeping.failure)
    keeping.close()


def test_lag_is_what_waits_in_source_and_intake_by_the_sensors_clock() -> None:
    """By hand: 7 ms inside the source, four packets of 3.5 ms came, and one is taken."""
    source = LiveFake(lag_us=7_000)
    intake = Intake(source, is_live=True, clock=SensorClock())
    intake.start()
    intake._thread.join()
    lag_s = lag_of({"one": intake}, {"one": source})
    assert lag_s("one", 3_500) == pytest.approx(0.007 + 4 * 0.0035 - 0.0035)
    assert lag_s("one", 14_000) == pytest.approx(0.007)


@pytest.mark.parametrize(
    "option", ["--shed-lag-ms", "--memory-mb", "--source-stall-s", "--decoder-stall-s"]
)
def test_a_limit_below_zero_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str
) -> None:
    assert main(["serve", str(tmp_path), option, "-1"]) == 2
    assert option in capsys.readouterr().err
