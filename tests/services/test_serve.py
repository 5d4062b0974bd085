"""``streamvdib serve`` with the real engine, from start to end, as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.writers.opening import open_writer
from streamvdib.services.client import FrameClient
from streamvdib.services.control_client import ControlClient

from streamvdib.cli import main
from streamvdib.events import EventPacket, SensorSize, as_events

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of a dot that moves over a 34x34 sensor."""
    path = tmp_path_factory.mktemp("recordings") / "dot.csv"
    t_us = np.arange(0, 3_000_000, 1000)
    x = (t_us // 50_000) % 34
    writer = open_writer(path, SensorSize(34, 34))
    events = as_events(t_us, x, np.full_like(x, 17), t_us // 1000 % 2 == 0)
    writer.write(EventPacket(events, 3_000_000))
    writer.close()
    return path


class Service:
    """A running ``streamvdib serve`` and what it has logged."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamvdib", "serve", *words, "--log", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict] = []

    def wait_for(self, message: str) -> dict:
        assert self.process.stderr
        for line in self.process.stderr:
            if not line.startswith("{"):
                raise AssertionError(line + self.process.stderr.read())
            self.lines.append(json.loads(line))
            if self.lines[-1]["message"] == message:
                return self.lines[-1]
        raise AssertionError(f"the service ended without {message!r}: {self.lines}")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, float]:
        began_s = time.monotonic()
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=240)
        return self.process.returncode, out, time.monotonic() - began_s


@pytest.fixture
def serve() -> Iterator[object]:
    services: list[Service] = []

    def start(*words: str) -> Service:
        services.append(Service(*words))
        return services[-1]

    yield start
    for service in services:
        service.process.kill()
        service.process.communicate()


ANYWHERE = ("--bind", "tcp://127.0.0.1:*", "--control", "tcp://127.0.0.1:*")


def test_sigterm_drains_writes_table_and_checkpoint_and_exits_0(
    serve, recording: Path, tmp_path: Path
) -> None:
    service = serve(str(recording), "--loop", "--snapshots", str(tmp_path / "kept"), *ANYWHERE)
    about = service.wait_for("serving")
    with FrameClient(about["data"]) as client:
        frame = client.receive(20.0)
        assert frame is not None
        assert frame.header.model == "nmnist"
    code, out, _ = service.end()
    assert code == 0
    assert "frames published" in out
    assert len(list((tmp_path / "kept").glob("checkpoint-*.safetensors"))) == 1


def test_the_end_of_a_recording_is_the_end_of_the_service(serve, recording: Path) -> None:
    service = serve(str(recording), "--speed", "max", *ANYWHERE)
    service.wait_for("serving")
    out, _ = service.process.communicate(timeout=240)
    assert service.process.returncode == 0
    assert "300 of 10000 us" in out or "299 of 10000 us" in out


def test_several_sources_are_lanes_of_one_model(serve, recording: Path) -> None:
    service = serve(f"left={recording}", f"right={recording}", "--loop", *ANYWHERE)
    about = service.wait_for("serving")
    with FrameClient(about["data"], newest=False) as client:
        found: dict[str, int] = {}
        deadline = time.monotonic() + 120.0
        while len(found) < 2 and time.monotonic() < deadline:
            message = client.receive(1.0)
            if message is not None:
                found[message.header.stream] = message.header.step
    assert set(found) == {"left", "right"}


def test_learning_is_switched_and_steered_while_it_serves(
    serve, recording: Path, tmp_path: Path
) -> None:
    service = serve(
        str(recording), "--loop", "--learn", "--targets", str(targets(tmp_path)), *ANYWHERE,
        "--snapshots", str(tmp_path / "kept"),
    )  # fmt: skip
    about = service.wait_for("serving")
    with ControlClient(about["control"], timeout_s=20.0) as client:
        deadline = time.monotonic() + 120.0
        while client.ask("status").get("generation", 0) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert client.ask("status")["generation"] >= 2
        assert client.ask("set_beta", value=0.02) == {"beta": 0.02}
        assert client.ask("learn", on=False) == {"learning": False}
        number = client.ask("snapshot")["checkpoint"]
        before = client.ask("status")["generation"]
        assert client.ask("learn", on=True) == {"learning": True}
        assert client.ask("roll_back", checkpoint=number)["checkpoint"] == number
        assert client.ask("status")["generation"] > before


def targets(folder: Path) -> Path:
    path = folder / "targets.npz"
    values = np.zeros((1, 28, 28), dtype=np.float32)
    np.savez(path, t_us=np.zeros(1, dtype=np.int64), targets=values)
    return path


def test_events_are_recorded_on_request_by_name(serve, recording: Path, tmp_path: Path) -> None:
    service = serve(str(recording), "--loop", "--records", str(tmp_path / "kept"), *ANYWHERE)
    about = service.wait_for("serving")
    with ControlClient(about["control"], timeout_s=20.0) as client:
        assert client.ask("record_start", name="first")["files"] == ["first-stream0.svr"]
        time.sleep(0.5)
        told = client.ask("record_stop")["recordings"]
        assert [(one["file"], one["dropped"]) for one in told] == [("first-stream0.svr", 0)]
    assert (tmp_path / "kept" / "first-stream0.svr").stat().st_size > 0


def test_a_recording_that_goes_bad_is_told_and_exit_code_1(serve, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("1 1 1 1\n2000 1 1 0\nthis is no event\n")
    service = serve(str(path), "--sensor-size", "34x34", *ANYWHERE)
    _, err = service.process.communicate(timeout=240)
    assert service.process.returncode in (1, 2)
    assert "bad.csv" in err
    assert "Traceback" not in err


def test_page_and_metrics_start_and_end_with_the_service(serve, recording: Path) -> None:
    service = serve(
        str(recording), "--loop", "--view", "--view-port", "0", "--metrics-port", "0", *ANYWHERE
    )
    metrics = service.wait_for("metrics")["url"]
    url = service.wait_for("page")["url"]
    with urllib.request.urlopen(url) as answer:
        assert b"streamvdib" in answer.read()
    with urllib.request.urlopen(metrics) as answer:
        assert b"streamvdib_steps_total" in answer.read()
    assert service.end(signal.SIGINT)[0] == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--bind", "tcp://0.0.0.0:5555"], "--insecure"),
        (["--bind", "http://x"], "--bind"),
        (["--speed", "fast"], "--speed"),
        (["--learn"], "--targets"),
        (["--crop", "10x10"], "model takes"),
        (["--model", "nosuch"], "a model must be"),
        (["--curve", "/nowhere"], "key file"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything_starts(
    recording: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["serve", str(recording), *words]) == 2
    assert said in capsys.readouterr().err
