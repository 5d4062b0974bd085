"""What must hold of a service, measured: each function is one claim of issue 5 at any size.

python tests/services/measures.py order|rate|latency|malformed|flood|kills|end [--full]
"""

from __future__ import annotations

import argparse
import array
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq
from streamvdib.services.bounds import pack
from streamvdib.services.client import FrameClient
from streamvdib.services.control_client import ControlClient

HERE = Path(__file__).parent


@dataclass
class Running:
    """A service in a process of its own."""

    process: subprocess.Popen[str]
    data: str
    control: str

    @property
    def rss_mb(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def go(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def fake_service(*words: str, wait: bool = False) -> Iterator[Running]:
    command = [sys.executable, str(HERE / "fake_service.py"), *words]
    command += ["--wait-for-input"] if wait else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdin
    try:
        data, control = process.stdout.readline().split()
        yield Running(process, data, control)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


def order(
    n_frames: int = 1000, rate: float = 333.0, height: int = 26, width: int = 26
) -> dict[str, Any]:
    """A fast subscriber gets every frame once and in order while another reads nothing."""
    words = ["--rate", str(rate), "--frames", str(n_frames)]
    words += ["--height", str(height), "--width", str(width)]
    with fake_service(*words, wait=True) as service:
        context = zmq.Context()
        stalled = context.socket(zmq.SUB)
        stalled.setsockopt(zmq.RCVHWM, 1)
        stalled.setsockopt(zmq.RCVBUF, 4096)
        stalled.connect(service.data)
        stalled.subscribe(b"")
        with FrameClient(service.data, newest=False, queue=10_000) as client:
            while client.tracker.state == "silent":
                client.receive(0.1)
            before_mb = service.rss_mb
            began_s = time.monotonic()
            service.go()
            steps = []
            while len(steps) < n_frames and time.monotonic() - began_s < n_frames / rate + 60:
                message = client.receive(1.0)
                if message is not None:
                    steps.append(message.header.step)
            took_s = time.monotonic() - began_s
            grown_mb = service.rss_mb - before_mb
            missed = client.tracker.n_missed
        stalled.close(linger=0)
        context.term()
    return {
        "frames": n_frames,
        "received": len(steps),
        "in_order": steps == list(range(n_frames)),
        "missed": missed,
        "stalled_s": round(took_s, 1),
        "service_grew_mb": round(grown_mb, 2),
    }


def rate(
    height: int = 26, width: int = 26, rate_hz: float = 1000.0, seconds: float = 5.0,
    n_subscribers: int = 5,
) -> dict[str, Any]:  # fmt: skip
    """Frames of a size at a rate to several subscribers, each a process of its own."""
    words = ("--rate", str(rate_hz), "--height", str(height), "--width", str(width))
    with fake_service(*words) as service:
        command = [sys.executable, str(HERE / "measures.py"), "subscriber", service.data]
        command += [str(seconds)]
        readers = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(n_subscribers)
        ]
        found = [json.loads(reader.communicate()[0]) for reader in readers]
        with ControlClient(service.control) as control:
            status = control.ask("status")
    return {
        "size": f"{width}x{height} float32",
        "rate_hz": rate_hz,
        "seconds": seconds,
        "subscribers": n_subscribers,
        "received_hz": [round(one["hz"], 1) for one in found],
        "missed": [one["missed"] for one in found],
        "p50_us": [one["p50"] for one in found],
        "p99_us": [one["p99"] for one in found],
        "service_dropped": status["dropped"],
        "service_frame_latency_us": status["frame_latency_us"],
    }


def subscriber(address: str, seconds: float) -> dict[str, Any]:
    """One subscriber: how many frames a second, how many missed, how late."""
    with FrameClient(address, newest=False) as client:
        while client.receive(5.0) is None:
            pass
        missed, began_s, n_frames = client.tracker.n_missed, time.monotonic(), 0
        latencies = []
        while time.monotonic() - began_s < seconds:
            message = client.receive(1.0)
            if message is not None:
                n_frames += 1
                latencies.append(message.latency_us)
        took_s = time.monotonic() - began_s
        p50, p99 = np.percentile(latencies, (50, 99)) if latencies else (0.0, 0.0)
        return {
            "hz": n_frames / took_s,
            "missed": client.tracker.n_missed - missed,
            "p50": round(float(p50)),
            "p99": round(float(p99)),
        }


def latency(recordings: str, seconds: float = 10.0, model: str = "nmnist") -> dict[str, Any]:
    """Event to frame, end to end: from the sensor time of every event to the arrival of the
    frame that first knows of it, by the sensor's clock mapped to the machine's."""
    command = [sys.executable, "-m", "streamvdib", "serve", f"digits={recordings}", "--loop"]
    command += ["--model", model, "--bind", "tcp://127.0.0.1:47321", "--log", "json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    kinds = ("frame", "events")
    try:
        address = "tcp://127.0.0.1:47321"
        with FrameClient(address, kinds=kinds, newest=False, queue=10_000) as client:
            assert client.receive(120.0) is not None
            dt_us = client.tracker.description["digits"]["dt_us"]
            _receive_for(client, 2.0)
            t_us, ends_us, late_us = _receive_for(client, seconds)
            missed = client.tracker.n_missed
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    of_events = []
    for end_us, frame_us in zip(ends_us, late_us, strict=True):
        first, last = np.searchsorted(t_us, (end_us - dt_us, end_us))
        of_events.append(frame_us + end_us - t_us[first:last])
    table = {row[0].strip(): row[1].strip() for row in _rows_of(out)}
    return {
        "dt_us": dt_us,
        "frames": len(ends_us),
        "events": sum(map(len, of_events)),
        "missed": missed,
        "event_to_frame_us": _percentiles(np.concatenate(of_events)),
        "end_of_step_to_frame_us": _percentiles(late_us),
        "in_the_service": {name: table.get(name, "") for name in _LATENCY_ROWS},
    }


def _receive_for(client: FrameClient, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times of events, and end and lateness of each frame, microseconds.

    Messages are not kept: with 66,000 of them a pass of the garbage collector stopped this
    program, the thread that stamps arrivals too, for 100 ms and more on a quiet machine.
    """
    began_s = time.monotonic()
    t_us, ends_us, late_us = [], array.array("q"), array.array("d")
    while time.monotonic() - began_s < seconds:
        message = client.receive(1.0)
        if message is None:
            continue
        if message.header.kind == "events":
            t_us.append(message.values["t_us"].copy())
        else:
            ends_us.append(message.header.end_us)
            late_us.append(message.latency_us)
    return np.concatenate(t_us), np.array(ends_us), np.array(late_us)


def _percentiles(values: np.ndarray) -> dict[str, int]:
    p50, p99 = np.percentile(values, (50, 99))
    return {"p50": round(float(p50)), "p99": round(float(p99))}


_LATENCY_ROWS = (
    "step latency p50 / p99",
    "decode latency p50 / p99",
    "sensor to socket p50 / p99",
)


def _rows_of(table: str) -> list[list[str]]:
    """Names and values of a closing table."""
    lines = [line.strip("│ \n").split("│") for line in table.splitlines()]
    return [cells for cells in lines if len(cells) == 2]


def malformed(
    n_messages: int = 10_000, seed: int = 0, requests_per_s: float = 200.0
) -> dict[str, Any]:
    """Fuzzed control messages: no crash, no growth, the stream goes on."""
    rng = random.Random(seed)
    good = pack({"schema": [1, 0], "id": 1, "command": "set_beta", "arguments": {"value": 0.5}})
    words = ("--rate", "200", "--requests-per-s", str(requests_per_s))
    with fake_service(*words) as service, FrameClient(service.data) as client:
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.SNDHWM, 1000)
        socket.linger = 0
        socket.connect(service.control)
        time.sleep(0.5)
        before_mb = service.rss_mb
        began_s = time.monotonic()
        n_answers = 0
        for _ in range(n_messages):
            socket.send_multipart(_mangled(rng, good))
            while socket.poll(0):
                socket.recv_multipart()
                n_answers += 1
        took_s = time.monotonic() - began_s
        time.sleep(1.5)
        while client.receive(0.0) is not None:
            pass
        alive = client.receive(5.0) is not None
        with ControlClient(service.control, timeout_s=30.0) as control:
            refused = control.ask("status")["requests_refused"]
        grown_mb = service.rss_mb - before_mb
        socket.close(linger=0)
        context.term()
    return {
        "messages": n_messages,
        "per_s": round(n_messages / took_s),
        "answers": n_answers,
        "refused": refused,
        "service_grew_mb": round(grown_mb, 2),
        "stream_goes_on": alive,
    }


def _mangled(rng: random.Random, good: bytes) -> list[bytes]:
    choice = rng.randrange(5)
    if choice == 0:
        return [rng.randbytes(rng.randrange(1, 120))]
    if choice == 1:
        position = rng.randrange(len(good))
        return [good[:position] + bytes([rng.randrange(256)]) + good[position + 1 :]]
    if choice == 2:
        return [good[: rng.randrange(len(good))]]
    if choice == 3:
        return [b"x"] * rng.randrange(2, 7)
    return [good, rng.randbytes(8)]


def flood(seconds: float = 2.0, rate_hz: float = 10_000.0) -> dict[str, Any]:
    """Good requests far above the rate, while a subscriber counts the frames it misses."""
    with fake_service("--rate", "200") as service:
        stop = threading.Event()
        found: dict[str, Any] = {}

        def read() -> None:
            with FrameClient(service.data, newest=False) as client:
                while not stop.is_set():
                    client.receive(0.2)
                found["missed"] = client.tracker.n_missed
                found["frames"] = client.tracker.n_received

        reader = threading.Thread(target=read)
        reader.start()
        context = zmq.Context()
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.RCVHWM, 100)
        socket.linger = 0
        socket.connect(service.control)
        time.sleep(0.5)
        before_mb = service.rss_mb
        body = pack({"schema": [1, 0], "id": 1, "command": "status", "arguments": {}})
        began_s, n_sent, n_answers, n_held = time.monotonic(), 0, 0, 0
        while (passed_s := time.monotonic() - began_s) < seconds:
            for _ in range(int(passed_s * rate_hz) - n_sent):
                n_sent += 1
                try:
                    socket.send(body, zmq.NOBLOCK)
                except zmq.Again:
                    n_held += 1  # the service reads no faster: the flood stays with its sender
            while socket.poll(0):
                socket.recv()
                n_answers += 1
            time.sleep(0.001)
        with ControlClient(service.control, timeout_s=30.0) as control:
            status = control.ask("status")
        grown_mb = service.rss_mb - before_mb
        stop.set()
        reader.join()
        socket.close(linger=0)
        context.term()
    return {
        "seconds": seconds,
        "tried": n_sent,
        "held_back": n_held,
        "per_s": round(n_sent / seconds),
        "answers": n_answers,
        "refused": status["requests_refused"],
        "service_grew_mb": round(grown_mb, 2),
        **found,
    }


def kills(n_kills: int = 6, seed: int = 0) -> dict[str, Any]:
    """kill -9 of subscriber, service and source in random order; how soon frames are back."""
    rng = random.Random(seed)
    ports = {name: 20_000 + rng.randrange(10_000) for name in ("source", "service", "control")}
    address = {name: f"tcp://127.0.0.1:{port}" for name, port in ports.items()}
    commands = {
        "source": ["--bind", address["source"], "--rate", "200", "--events", "5"],
        "service": [
            "--bind", address["service"], "--control", address["control"],
            "--source", f"zmq://127.0.0.1:{ports['source']}", "--rate", "200",
        ],
    }  # fmt: skip
    processes = {name: _started(words) for name, words in commands.items()}
    client = FrameClient(address["service"])
    restarts = 0
    downtimes: dict[str, list[float]] = {"source": [], "service": [], "subscriber": []}
    try:
        assert client.receive(60.0) is not None
        for _ in range(n_kills):
            victim = rng.choice(sorted(downtimes))
            if victim == "subscriber":
                restarts += client.tracker.n_restarts
                client.close()
                began_s = time.monotonic()
                client = FrameClient(address["service"])
            else:
                _kill(processes[victim])
                processes[victim] = _started(commands[victim])
                began_s = time.monotonic()  # from the moment it is bound again
            _wait_for_fresh(client)
            downtimes[victim].append(time.monotonic() - began_s)
        restarts += client.tracker.n_restarts
    finally:
        client.close()
        for process in processes.values():
            _kill(process)
    return {
        "kills": n_kills,
        "back_after_s": {
            name: {"n": len(times), "median": round(statistics.median(times), 3),
                   "worst": round(max(times), 3)}
            for name, times in downtimes.items() if times
        },
        "restarts_seen": restarts,
    }  # fmt: skip


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def _started(words: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, str(HERE / "fake_service.py"), *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline().startswith("tcp")
    return process


def _wait_for_fresh(client: FrameClient) -> None:
    """Until a frame comes that was made after this call."""
    now_ns = time.monotonic_ns()
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        message = client.receive(1.0)
        if message is not None and message.header.monotonic_ns > now_ns:
            return
    raise AssertionError("no frame came within a minute")


def end(recordings: str, folder: str, n_times: int = 1) -> dict[str, Any]:
    """SIGTERM of the real service: closing table, snapshot, exit code 0, and how long it took."""
    took, codes = [], []
    for number in range(n_times):
        command = [sys.executable, "-m", "streamvdib", "serve", f"digits={recordings}", "--loop"]
        command += ["--bind", "tcp://127.0.0.1:47331", "--snapshots", f"{folder}/{number}"]
        command += ["--packet-us", "10000"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with FrameClient("tcp://127.0.0.1:47331") as client:
            assert client.receive(120.0) is not None
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
        took.append(round(time.monotonic() - began_s, 3))
        codes.append(process.returncode)
        assert "frames published" in out
        assert any(Path(folder, str(number)).glob("*.safetensors"))
    return {"times": n_times, "exit_codes": codes, "seconds": took}


FULL: dict[str, list[dict[str, Any]]] = {
    "order": [{"n_frames": 10_000}, {"n_frames": 6000, "rate": 200.0, "height": 260, "width": 346}],
    "rate": [{"seconds": 60.0}, {"height": 260, "width": 346, "rate_hz": 200.0, "seconds": 60.0}],
    "latency": [{"seconds": 60.0}],
    "malformed": [
        {"n_messages": 1_000_000},
        {"n_messages": 1_000_000, "seed": 1, "requests_per_s": 1e9},  # every one is parsed
    ],
    "flood": [{"seconds": 60.0}],
    "kills": [{"n_kills": 100}],
    "end": [{"n_times": 10}],
}


def main() -> None:
    if sys.argv[1] == "subscriber":
        print(json.dumps(subscriber(sys.argv[2], float(sys.argv[3]))))  # noqa: T201
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("measure", choices=FULL)
    parser.add_argument("--full", action="store_true", help="the size that issue 5 names")
    parser.add_argument("--recordings", help="a folder, for latency and end")
    parser.add_argument("--folder", default="/tmp", help="for snapshots")
    arguments = parser.parse_args()
    extra = {}
    if arguments.measure in ("latency", "end"):
        extra["recordings"] = arguments.recordings
    if arguments.measure == "end":
        extra["folder"] = arguments.folder
    for sizes in FULL[arguments.measure] if arguments.full else [{}]:
        found = globals()[arguments.measure](**extra, **sizes)
        found["load_average"] = os.getloadavg()[0]
        print(json.dumps(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
