"""An engine that hangs behind live I/O falls silent, is started again, and resumes."""

from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from streamvdib.checkpoints import Checkpoints
from streamvdib.endurance.children import hang_at, learning_engine
from streamvdib.endurance.workload import packets
from streamvdib.engine_state import state_digest
from streamvdib.errors import ConfigurationError
from streamvdib.supervisor import Heartbeat, Supervisor

N_PACKETS = 20


class Started:
    """A process of ``multiprocessing`` as a ``Child``."""

    def __init__(self, process: BaseProcess) -> None:
        self.process = process

    def poll(self) -> int | None:
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()

    def wait(self) -> int:
        self.process.join()
        return self.process.exitcode or 0


def test_an_engine_that_hangs_is_started_again_and_resumes_from_its_last_checkpoint(
    tmp_path: Path, start: Callable[..., BaseProcess]
) -> None:
    def start_child(additions: Mapping[str, str]) -> Started:
        address = additions["NOTIFY_SOCKET"]
        return Started(start(hang_at, str(tmp_path), address, N_PACKETS))

    with Supervisor(start_child, patience_s=3.0, pause_s=0.01) as supervisor:
        assert supervisor.run() == 0
        assert (supervisor.n_hung, supervisor.n_died) == (1, 0)
    engine = learning_engine()
    for packet in packets(0, N_PACKETS):
        engine.advance(packet)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        final = checkpoints.load().state
    assert state_digest(final) == state_digest(engine.snapshot())


class Dying:
    """A child that has died already."""

    def poll(self) -> int | None:
        return 3

    def kill(self) -> None:
        pass

    def wait(self) -> int:
        return 3


def test_a_program_that_dies_again_and_again_is_given_up() -> None:
    with Supervisor(lambda _: Dying(), most_restarts=2, pause_s=0.001) as supervisor:
        assert supervisor.run() == 1
        assert supervisor.n_died == 3


def test_a_heart_beats_once_a_second_and_only_where_somebody_listens(tmp_path: Path) -> None:
    import socket

    now_s = 0.0
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(0.0)
        heartbeat = Heartbeat({"NOTIFY_SOCKET": address}, clock=lambda: now_s)
        for _ in range(30):
            now_s += 0.1
            heartbeat.beat()
        assert [server.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        with pytest.raises(BlockingIOError):
            server.recv(100)
    Heartbeat({}).beat()


def test_a_supervisor_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        Supervisor(lambda _: Dying(), patience_s=0)
