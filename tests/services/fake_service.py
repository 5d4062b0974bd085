"""A service of the fake engine in a process of its own; says its addresses on one line.

python tests/services/fake_service.py --rate 1000 --height 26 --width 26 [--curve FOLDER]
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import signal
import sys
import threading
from pathlib import Path

import numpy as np
from fakes import FakeStation, PacedPackets
from streamvdib.services.addresses import parse_address
from streamvdib.services.clocks import SensorClock
from streamvdib.services.intake import Intake
from streamvdib.services.server import Server, ServerOptions

from streamvdib.events import SensorSize


class PicturesStation(FakeStation):
    """Frames of one size whose array is allocated once: the service is measured, not NumPy."""

    def __init__(self, shape: tuple[int, int], n_steps_per_packet: int) -> None:
        super().__init__(shape=shape)
        self.dt_us = n_steps_per_packet
        self._pixels = np.random.default_rng(0).random((1, *shape), dtype=np.float32)

    def advance(self, stream, packet):  # one step per packet, whatever its length
        self.step += 1
        return [self._made(packet.end_us)]

    def operate(self, command, arguments):  # nothing is kept of commands: memory is measured
        return {"done": command}

    def _made(self, end_us: int):
        frame = self._frame()
        return type(frame)(frame.step, max(0, end_us - self.dt_us), end_us, self._pixels)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind", default="tcp://127.0.0.1:*")
    parser.add_argument("--control", default="tcp://127.0.0.1:*")
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--frames", type=int, default=10**9)
    parser.add_argument("--events", type=int, default=0, help="per packet")
    parser.add_argument("--height", type=int, default=26)
    parser.add_argument("--width", type=int, default=26)
    parser.add_argument("--curve", type=Path)
    parser.add_argument("--requests-per-s", type=float, default=200.0)
    parser.add_argument("--source", help="address of a service whose events are the source")
    parser.add_argument("--wait-for-input", action="store_true", help="start at a line on stdin")
    arguments = parser.parse_args()
    dt_us = round(1e6 / arguments.rate)
    if arguments.source:
        from streamvdib.sources import open_source

        source = open_source(arguments.source, sensor_size=SensorSize(64, 64))
    else:
        source = PacedPackets(arguments.frames, arguments.events, dt_us)
    station = PicturesStation((arguments.height, arguments.width), dt_us)
    intake = Intake(source, is_live=bool(arguments.source), clock=SensorClock())
    options = ServerOptions(
        parse_address(arguments.bind),
        parse_address(arguments.control),
        curve=arguments.curve,
        requests_per_s=arguments.requests_per_s,
    )
    server = Server(station, {"digits": intake}, options)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    print(server.service.data_address, server.service.control_address, flush=True)  # noqa: T201
    if arguments.wait_for_input:
        server.service.start()
        sys.stdin.readline()
        server._engine.start()
    else:
        server.start()
    while not stop.wait(0.05) and not server.stop_requested.is_set():
        if server.failure is not None:
            break
    with contextlib.suppress(Exception):
        gc.unfreeze()
    server.close()


if __name__ == "__main__":
    main()
