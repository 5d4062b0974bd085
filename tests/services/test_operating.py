"""What machines and operators see: metrics, health, logs, systemd, the command line."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamvdib.services.clocks import SensorClock
from streamvdib.services.engine_station import EngineStation
from streamvdib.services.metrics import MetricsServer
from streamvdib.services.supervision import Watchdog
from streamvdib.services.tally import Latencies, Pulse
from waiting import until

from streamvdib.cli import main
from streamvdib.commands.logs import JsonFormatter, TextFormatter
from streamvdib.endurance.workload import small_engine


@pytest.fixture
def metrics_of():
    opened = []

    def open_metrics(server) -> str:
        metrics = MetricsServer(0, server.tally, lambda: server.runtime.stats, server.about)
        opened.append(metrics)
        return f"http://127.0.0.1:{metrics.port}"

    yield open_metrics
    for metrics in opened:
        metrics.close()


def page(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def values_of(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_metrics_count_what_happened(make_server, metrics_of, paced_packets) -> None:
    server = make_server(sources={"digits": paced_packets(n_packets=50, n_events=3)})
    until(lambda: server.wait(0.0))
    status, text = page(f"{metrics_of(server)}/metrics")
    values = values_of(text)
    assert status == 200
    assert values["streamvdib_events_total"] == 150
    assert values["streamvdib_steps_total"] == 50
    assert values["streamvdib_frames_total"] == 50
    assert values["streamvdib_frame_seconds_count"] == 50
    assert values['streamvdib_frame_seconds_bucket{le="+Inf"}'] == 50
    assert values['streamvdib_queue_packets{stream="digits"}'] == 0
    assert values["streamvdib_weight_generation"] == 3


def test_health_is_good_while_steps_are_made_and_bad_when_the_engine_hangs(
    make_server, metrics_of, fake_station
) -> None:
    station = fake_station()
    server = make_server(station)
    url = f"{metrics_of(server)}/healthz"
    until(lambda: page(url)[0] == 200)
    station.hang.set()
    until(lambda: page(url)[0] == 503)
    assert json.loads(page(url)[1])["state"] == "hung"
    station.hang.clear()
    until(lambda: page(url)[0] == 200)


def test_idle_connections_cost_metrics_few_threads(make_server, metrics_of) -> None:
    url = metrics_of(make_server())
    port = int(url.rpartition(":")[2])
    before = threading.active_count()
    with contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(60)
        ]
        most = [before]

        def others_are_closed() -> bool:
            most.append(threading.active_count())
            return sum(is_closed(one) for one in idle) >= 60 - 16  # those held are silent, and next

        until(others_are_closed)
        assert max(most) <= before + 16
    until(lambda: threading.active_count() <= before)
    assert page(f"{url}/healthz")[0] == 200


def is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_source_that_fails_ends_the_service_with_its_error(make_server) -> None:
    class Failing:
        is_live = False

        def __iter__(self):
            raise OSError("the camera was unplugged")
            yield

    server = make_server(sources={"digits": Failing()})
    until(lambda: server.wait(0.0))
    assert "unplugged" in str(server.failure)
    assert server.tally.pulse.state == "failed"


@pytest.fixture
def notified(tmp_path: Path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(0.2)
        yield server, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"}


def received(server: socket.socket) -> str:
    try:
        return server.recv(1000).decode()
    except TimeoutError:
        return ""


def test_systemd_is_told_ready_alive_and_stopping(notified) -> None:
    server, environment = notified
    pulse = Pulse()
    watchdog = Watchdog(pulse, environment)
    watchdog.ready("serving")
    assert received(server).startswith("READY=1")
    pulse.advanced(7)
    assert watchdog.feed()
    assert "WATCHDOG=1" in received(server)
    watchdog.stopping()
    assert received(server) == "STOPPING=1"


def test_a_hung_engine_starves_the_watchdog(notified) -> None:
    server, environment = notified
    pulse = Pulse()
    watchdog = Watchdog(pulse, environment)
    pulse.beat_ns -= 10 * 10**9
    assert not watchdog.feed()
    assert received(server) == ""
    pulse.beat("idle")
    assert watchdog.feed()


def test_without_systemd_nothing_is_sent() -> None:
    watchdog = Watchdog(Pulse(), {})
    watchdog.ready("serving")
    assert not watchdog.feed()


def a_record() -> logging.LogRecord:
    record = logging.LogRecord("streamvdib.x", logging.INFO, "f", 1, "served %d", (3,), None)
    record.data = "tcp://x"
    return record


def test_a_log_line_is_one_json_object() -> None:
    values = json.loads(JsonFormatter().format(a_record()))
    assert (values["message"], values["level"], values["data"]) == ("served 3", "info", "tcp://x")


def test_a_log_line_is_text_with_its_values() -> None:
    assert TextFormatter().format(a_record()).endswith("info served 3 data=tcp://x")


def test_latencies_fall_into_their_buckets() -> None:
    latencies = Latencies(n_recent=4)
    for microseconds in (50, 2000, 20_000_000):
        latencies.add(microseconds * 1000)
    assert latencies.counts[0] == 1
    assert latencies.counts[3] == 1
    assert latencies.counts[-1] == 1
    assert latencies.percentiles_us()["p50"] == 2000.0


def test_sensor_time_is_mapped_by_the_packet_that_was_least_late() -> None:
    """By hand: ends 1 and 2 ms, arrived 4 and 3 ms: the second says the clocks differ by 1."""
    clock = SensorClock()
    clock.arrived(1000, 4_000_000)
    clock.arrived(2000, 3_000_000)
    assert clock.due_ns(1000) == 2_000_000


def test_a_clock_that_was_set_back_is_mapped_anew() -> None:
    clock = SensorClock()
    clock.arrived(5_000_000, 5_001_000_000)
    clock.arrived(1000, 6_000_000_000)
    assert clock.due_ns(1000) == 6_000_000_000


def test_half_speed_makes_sensor_time_pass_at_half_speed() -> None:
    clock = SensorClock(0.5)
    clock.arrived(1000, 2_000_000)
    assert clock.due_ns(2000) == 4_000_000


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ({"guard_error_fast": 0.1, "decoder_nats": 60.0}, 0.1),
        ({"guard_error_fast": math.nan, "decoder_nats": 60.0}, None),
        ({"decoder_nats": 60.0}, 60.0),
    ],
)
def test_a_score_never_changes_its_unit(metrics: dict[str, float], score: float | None) -> None:
    """A guard knows no error between a pause and the next update; nats are another measure."""
    engine = small_engine(backend="torch")
    engine.learner = SimpleNamespace(  # type: ignore[assignment]
        paused=False, beta=0.0, learning_rate=0.0, metrics=lambda: metrics
    )
    learning = EngineStation(engine, ["one"]).read().learning
    assert learning is not None
    assert learning.score == score


def test_ctl_prints_the_status(make_server, capsys: pytest.CaptureFixture[str]) -> None:
    server = make_server()
    assert main(["ctl", "status", "--control", server.service.control_address]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "fake"


def test_ctl_says_what_was_refused(make_server, capsys: pytest.CaptureFixture[str]) -> None:
    server = make_server()
    words = ["ctl", "set_beta", "value=-1", "--control", server.service.control_address]
    assert main(words) == 1
    assert json.loads(capsys.readouterr().out)["field"] == "arguments.value"


def test_ctl_says_when_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ctl", "status", "--control", "tcp://127.0.0.1:1", "--timeout-s", "0.2"]
    assert main(words) == 2
    assert "none did" in capsys.readouterr().err


def test_keys_makes_a_pair_and_allows_a_client(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "keys"
    assert main(["keys", str(folder), "alice", "--role", "control"]) == 0
    assert capsys.readouterr().out.count("key_secret") == 2
    assert (folder / "clients").read_text().startswith("control ")
    assert main(["keys", str(folder), "alice"]) == 2
    assert "not overwritten" in capsys.readouterr().err
