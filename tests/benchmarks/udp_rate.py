"""How many events a second come through UDP on loopback, and whether every loss is counted.

    python tests/benchmarks/udp_rate.py --rate 1e6 --seconds 60

One process sends SPIF words with times at an even rate, another (this one) receives them as a
live source does and takes every packet, as a decoder would. Sent must be delivered + lost in the
kernel + dropped in the queue + refused. Fixed workload: 346x260, 64 events a datagram, seed 0.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import subprocess
import threading
import time
from multiprocessing.connection import Connection

import numpy as np
from streamvdib.replay.republish import UdpPublisher

from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.sources.live import LiveOptions, LiveSource
from streamvdib.sources.network import UdpFeed

SIZE = SensorSize(346, 260)
BATCH = 64
PACKET_US = 1000


def send(port: int, rate_hz: float, seconds: float, pipe: Connection) -> None:
    """Send ``rate_hz`` events a second, whole datagrams only, then say how many."""
    per_packet = max(1, round(rate_hz * PACKET_US / 1e6 / BATCH)) * BATCH
    packet_us = per_packet / rate_hz * 1e6
    random = np.random.default_rng(0)
    x, y = random.integers(0, SIZE.width, per_packet), random.integers(0, SIZE.height, per_packet)
    events = as_events(np.zeros(per_packet), x, y, random.random(per_packet) < 0.5)
    offsets = (np.arange(per_packet) * packet_us / per_packet).astype(np.int64)
    publisher = UdpPublisher("127.0.0.1", port, batch=BATCH)
    start_s, latest_s = time.monotonic(), 0.0
    for k in range(round(seconds * 1e6 / packet_us)):
        due_s = start_s + k * packet_us / 1e6
        while (now_s := time.monotonic()) < due_s:
            time.sleep(max(0.0, due_s - now_s - 1e-4))
        latest_s = max(latest_s, now_s - due_s)
        events["t_us"] = int(k * packet_us) + offsets
        publisher.publish(EventPacket(events, 0))
    elapsed_s = time.monotonic() - start_s
    counters = publisher.counters
    pipe.send((counters["events"], counters["datagrams"], latest_s, elapsed_s))


def measure(rate_hz: float, seconds: float) -> dict[str, object]:
    """Run once."""
    feed = UdpFeed("127.0.0.1", 0, SIZE)
    source = LiveSource(feed, LiveOptions(clock_rate=0.0))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=send, args=(feed.port, rate_hz, seconds, theirs), daemon=True)
    process.start()
    sent: list[tuple[int, int, float, float]] = []
    closer = threading.Thread(target=close_when_done, args=(source, ours, sent))
    closer.start()
    n_packets, began_cpu_s = 0, time.process_time()
    worst_fill = 0.0
    for _ in source:
        n_packets += 1
        worst_fill = max(worst_fill, source.status().queue_fill)
    cpu_s = time.process_time() - began_cpu_s
    closer.join()
    status, counters = source.status(), source.counters
    n_sent, n_datagrams, sender_late_s, sender_s = sent[0]
    n_lost = BATCH * counters["lost_datagrams"]
    accounted = status.n_delivered + status.n_dropped + status.n_refused + status.n_held + n_lost
    return {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "rate_asked_hz": rate_hz,
        "seconds": round(sender_s, 2),
        "rate_reached_hz": round(n_sent / sender_s),
        "sent": n_sent,
        "datagrams": n_datagrams,
        "delivered": status.n_delivered,
        "held": status.n_held,
        "lost_in_kernel": n_lost,
        "dropped_in_queue": status.n_dropped,
        "refused": status.n_refused,
        "unaccounted": n_sent - accounted,
        "packets": n_packets,
        "worst_queue_fill": round(worst_fill, 4),
        "sender_latest_ms": round(1000 * sender_late_s, 1),
        "receiver_cpu_share": round(cpu_s / sender_s, 3),
        "receiver_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def close_when_done(
    source: LiveSource, pipe: Connection, sent: list[tuple[int, int, float, float]]
) -> None:
    """Wait for the sender's figures and for the receiver to have read what there is."""
    sent.append(pipe.recv())
    n_before = -1
    while source.status().n_received != n_before:
        n_before = source.status().n_received
        time.sleep(3.0)
    source.close()


def main() -> None:
    """Print one JSON object per run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1e6, help="events a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.rate, arguments.seconds), indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
