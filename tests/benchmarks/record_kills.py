"""How much of a recording is missing when ``streamvdib run --record`` is killed with kill -9.

    python -m tests.benchmarks.record_kills [--kills 3] [--format .aedat4] [--via udp|dv]

One process plays a DVS128 recording at its own pace over UDP or as dv's TCP stream and notes what
it has sent; another decodes and records it; at a random moment it is killed. What its file holds
must be the first events that were sent; what was sent by then and is not in it is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np
from streamvdib.replay.pace import PacedSource
from streamvdib.replay.recorder import RELATIVE
from streamvdib.replay.republish import open_publisher

from streamvdib.events import EventArray, SensorSize
from streamvdib.sources import open_source

FORMATS = (".aedat4", ".svr", ".es", ".raw", ".npy", ".csv", ".txt", ".bin")
SIZE = SensorSize(128, 128)
N_COMPARED = 30


def send(uri: str, source: Path, log: Path, stop: Event) -> None:
    """Play ``source``; a line for each packet: the wall clock before it was sent, and its end."""
    publisher = open_publisher(uri, SIZE)
    with log.open("w", buffering=1) as lines:
        for packet in PacedSource(open_source(source, packet_us=1000)):
            lines.write(f"{time.time()} {packet.end_us}\n")
            publisher.publish(packet)
            if stop.is_set():
                break
    publisher.close()


def free_port() -> int:
    """A port of UDP and TCP that nothing uses now."""
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return int(tcp.getsockname()[1])


def is_bound(port: int) -> bool:
    """Whether somebody receives datagrams there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        try:
            udp.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def killed_run(via: str, source: Path, target: Path, folder: Path, after_s: float) -> int:
    """Record until the kill; the time of the recording that had been sent by then."""
    port, log = free_port(), folder / "sent"
    uri = f"{via}://127.0.0.1:{port}"
    size = f"?width={SIZE.width}&height={SIZE.height}" if via == "udp" else ""
    command = [sys.executable, "-m", "streamvdib", "run", uri + size, "--crop", "34x34"]
    command += ["--record", str(target), "--quiet"]
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    sender = context.Process(target=send, args=(uri, source, log, stop))
    if via != "udp":  # its sender is the server
        sender.start()
        while not log.exists():
            time.sleep(0.05)
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        if via == "udp":
            while not is_bound(port) and run.poll() is None:
                time.sleep(0.05)
            sender.start()
        while not (target.exists() and log.exists() and log.stat().st_size) and run.poll() is None:
            time.sleep(0.05)
        time.sleep(after_s)
        killed_at = time.time()
        run.send_signal(signal.SIGKILL)
        run.wait()
    finally:
        run.kill()
        stop.set()
        if sender.pid is not None:
            sender.join()
    sent = np.loadtxt(log, ndmin=2)
    return int(sent[sent[:, 0] < killed_at, 1].max())


def missing(events: EventArray, target: Path, sent_us: int) -> tuple[int, int, int]:
    """What the file holds: how many events, how many of those before its last it lacks, and us.

    The last figure is the time that had been sent and is not in the file.

    Raises:
        AssertionError: the file holds an event that was not sent.
    """
    source = open_source(target, sensor_size=SIZE, lenient=True)
    kept = np.concatenate([packet.events for packet in source])
    assert len(kept) >= N_COMPARED, f"only {len(kept)} events"
    first = first_of(kept, events)
    if target.suffix in RELATIVE:
        kept["t_us"] += events["t_us"][first]
    last_us = int(kept["t_us"][-1])
    meant = events[first:][events["t_us"][first:] <= last_us]
    keys = [key_of(one) for one in (kept, meant)]
    assert np.isin(keys[0], keys[1]).all(), "events that were not sent"
    return len(kept), max(0, len(meant) - len(kept)), sent_us - last_us


def key_of(events: EventArray) -> np.ndarray:
    """One number that tells an event from another."""
    place = (events["y"].astype(np.int64) * SIZE.width + events["x"]) * 2 + events["on"]
    return events["t_us"] * (2 * SIZE.width * SIZE.height) + place


def first_of(kept: EventArray, events: EventArray) -> int:
    """Where the events of a file begin among those that were played."""
    start = kept[:N_COMPARED]
    for first in np.flatnonzero((events["x"] == start["x"][0]) & (events["y"] == start["y"][0])):
        meant = events[first : first + N_COMPARED]
        if len(meant) == N_COMPARED and all((meant[n] == start[n]).all() for n in ("x", "y", "on")):
            return int(first)
    raise AssertionError("its first events were not played")


def main() -> None:
    """Kill, read, print."""
    parser = argparse.ArgumentParser(description="what kill -9 takes from a recording")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--kills", type=int, default=3, help="of each format")
    parser.add_argument("--format", action="append", choices=FORMATS)
    parser.add_argument("--via", choices=("udp", "dv"), default="udp")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source = options.data / "aedat_legacy/dvs128_moving_dark_box.aedat"
    events = np.concatenate([packet.events for packet in open_source(source)])
    moments = random.Random(options.seed)
    for suffix in options.format or FORMATS:
        for _ in range(options.kills):
            with tempfile.TemporaryDirectory() as name:
                folder, after_s = Path(name), moments.uniform(3, 8)
                target = folder / f"recorded{suffix}"
                sent_us = killed_run(options.via, source, target, folder, after_s)
                n_kept, n_lost, lost_us = missing(events, target, sent_us)
            line = f"{suffix:8} killed after {after_s:.2f} s: {n_kept} events kept, {n_lost} lost "
            print(line + f"on the way, the last {lost_us / 1e6:.3f} s missing", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
