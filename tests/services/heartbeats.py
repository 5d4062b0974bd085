"""ZMTP heartbeats under stress: slow readers beside a publisher that is killed again and again.

    python tests/services/heartbeats.py [SECONDS]

libzmq 4.3.5 ends a subscriber that sets heartbeats where its queue may fill (RCVHWM above 0):
zeromq/libzmq issues 3937 and 4364. Without a limit on that queue, or with heartbeats at the
publisher alone, nobody is ended. Prints one line per combination: how the subscribers ended.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import time

import zmq

INTERVAL_MS, PATIENCE_MS = 200, 600
N_SUBSCRIBERS = 4
RESTART_S = 3.0


def new_socket(kind: int, *, heartbeats: bool) -> zmq.Socket[bytes]:
    socket = zmq.Context.instance().socket(kind)
    if heartbeats:
        socket.setsockopt(zmq.HEARTBEAT_IVL, INTERVAL_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, PATIENCE_MS)
    return socket


def publish(address: str, heartbeats: bool) -> None:
    """25 MB a second until killed."""
    socket = new_socket(zmq.XPUB, heartbeats=heartbeats)
    socket.setsockopt(zmq.SNDHWM, 4)
    while True:
        with contextlib.suppress(zmq.ZMQError):  # the one killed before still holds the address
            socket.bind(address)
            break
        time.sleep(0.01)
    print("bound", flush=True)  # noqa: T201 - to the parent
    body = bytes(100_000)
    while True:
        with contextlib.suppress(zmq.Again):
            socket.send(body, zmq.NOBLOCK)
        while socket.poll(0):
            socket.recv()
        time.sleep(0.004)


def subscribe(address: str, heartbeats: bool, queue: int, seconds: float, seed: int) -> None:
    """Read some messages and rest, up to 2.5 s, again and again."""
    rng = random.Random(seed)
    socket = new_socket(zmq.SUB, heartbeats=heartbeats)
    socket.setsockopt(zmq.RCVHWM, queue)
    socket.subscribe(b"")
    socket.connect(address)
    socket.recv()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for _ in range(rng.choice((1, 3, 50))):
            if socket.poll(100):
                socket.recv()
        time.sleep(rng.choice((0.0, 0.0, 0.01, 0.3, 1.0, 2.5)))
    os._exit(0)


def trial(seconds: float, *, publisher: bool, subscriber: bool, queue: int) -> dict[str, object]:
    address = f"tcp://127.0.0.1:{random.randrange(20_000, 30_000)}"

    def start(*words: object) -> subprocess.Popen[str]:
        command = [sys.executable, __file__, *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start_source() -> subprocess.Popen[str]:
        source = start("publish", address, int(publisher))
        assert source.stdout
        assert source.stdout.readline() == "bound\n"
        return source

    source = start_source()
    readers = [
        start("subscribe", address, int(subscriber), queue, seconds, seed)
        for seed in range(N_SUBSCRIBERS)
    ]
    while any(reader.poll() is None for reader in readers):
        time.sleep(RESTART_S)
        source.kill()
        source.wait()
        source = start_source()
    source.kill()
    source.wait()
    said = {reader.communicate()[1].strip() for reader in readers} - {""}
    return {
        "publisher_heartbeats": publisher,
        "subscriber_heartbeats": subscriber,
        "subscriber_rcvhwm": queue,
        "exit_codes": [reader.returncode for reader in readers],
        "said": sorted(said),
    }


def main() -> None:
    words = sys.argv[1:]
    if words[:1] == ["publish"]:
        publish(words[1], words[2] == "1")
    elif words[:1] == ["subscribe"]:
        subscribe(words[1], words[2] == "1", int(words[3]), float(words[4]), int(words[5]))
    else:
        seconds = float(words[0]) if words else 15.0
        print(f"libzmq {zmq.zmq_version()}")  # noqa: T201
        for publisher, subscriber, queue in itertools.product(
            (False, True), (False, True), (1, 1000, 0)
        ):
            found = trial(seconds, publisher=publisher, subscriber=subscriber, queue=queue)
            print(json.dumps(found), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
