"""SIGINT, SIGTERM and SIGHUP drain, close and write a checkpoint; resuming loses nothing."""

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from streamvdib.checkpoints import Checkpoint, Checkpoints
from streamvdib.endurance.workload import EVENTS_PER_PACKET
from streamvdib.engine_state import state_digest
from streamvdib.signals import Signals, Stopped

Run = Callable[..., BaseProcess]


def ended(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


def newest(folder: Path) -> Checkpoint:
    with Checkpoints(folder) as checkpoints:
        return checkpoints.load()


@pytest.fixture(scope="module")
def whole_digest() -> dict[str, str]:
    return {}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_run_between_packets_and_resuming_loses_nothing(
    tmp_path: Path, run: Run, name: str, whole_digest: dict[str, str]
) -> None:
    if not whole_digest:
        assert ended(run("--checkpoint", str(tmp_path / "whole"))) == 0
        whole_digest["all"] = state_digest(newest(tmp_path / "whole").state)
    folder = tmp_path / "cut"
    process = run("--checkpoint", str(folder), "--checkpoint-every-s", "0.02")
    while not list(folder.glob("*.safetensors")):
        time.sleep(0.005)
        assert process.is_alive(), "the run ended before it could be stopped"
    number = getattr(signal, name)
    os.kill(process.pid or 0, number)
    assert ended(process) == 128 + number
    assert 0 < newest(folder).position.n_events < 250 * EVENTS_PER_PACKET
    assert ended(run("--checkpoint", str(folder), "--resume")) == 0
    assert state_digest(newest(folder).state) == whole_digest["all"]


def test_a_log_of_a_stopped_run_ends_in_order(tmp_path: Path, run: Run) -> None:
    process = run("--session-log", str(tmp_path / "log"))
    while not list((tmp_path / "log").glob("*.svlog")):
        time.sleep(0.005)
    os.kill(process.pid or 0, signal.SIGTERM)
    assert ended(process) == 143
    assert not list((tmp_path / "log").glob("*.part"))


def test_a_signal_waits_until_a_packet_is_done() -> None:
    done = []

    def work(signals: Signals) -> None:
        with signals.deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append("the rest of the block")

    with pytest.raises(Stopped) as stopped, Signals() as signals:
        work(signals)
    assert done == ["the rest of the block"]
    assert stopped.value.exit_code == 143


def test_a_signal_ends_the_waiting_for_a_packet() -> None:
    def source() -> object:
        yield 1
        signal.raise_signal(signal.SIGINT)
        yield 2

    before = signal.getsignal(signal.SIGINT)
    seen = []
    with pytest.raises(Stopped) as stopped, Signals() as signals:
        seen.extend(iter(signals.interruptible(source())))  # type: ignore[call-overload]
    assert stopped.value.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_signal_does_what_the_system_does() -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGHUP)
        assert signals.came == signal.SIGHUP
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_run_that_takes_too_much_memory_ends_in_good_order(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "big"
    assert ended(run("--checkpoint", str(folder), "--memory-mb", "1")) == 143
    assert newest(folder).generation > 0
