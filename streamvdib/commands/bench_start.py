"""How long a fresh process takes: to import the package, and to the first frame of a recording.

Wall time of whole processes, so meaningful on a quiet machine only. ``first-frame`` is the time of
``streamvdib run`` on a recording of one frame, its end included; compiled code is on disk by then.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from streamvdib.commands.bench_measure import Contender, Scenario
from streamvdib.events import EVENT_DTYPE, EventArray

SIDE, LENGTH_US = 34, 10_000  # an N-MNIST sensor, and less than two of its model's steps


def importing() -> Scenario:
    """``import streamvdib``, and the command line that names its commands."""
    return Scenario(
        "import",
        "start",
        [
            _process("import streamvdib", "-c", "import streamvdib"),
            _process("streamvdib --help", "-m", "streamvdib", "--help"),
        ],
    )


def first_frame() -> Scenario:
    """``streamvdib run FILE``, from nothing to its first frame."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name, "one-frame.npy")
    np.save(path, _recording())
    size = f"{SIDE}x{SIDE}"
    run = ("-m", "streamvdib", "run", str(path), "--sensor-size", size, "--quiet")
    return Scenario("first-frame", "start", [_process("streamvdib run", *run, kept=folder)])


def _recording() -> EventArray:
    events = np.zeros(200, EVENT_DTYPE)
    generator = np.random.default_rng(0)
    events["t_us"] = np.sort(generator.integers(0, LENGTH_US, len(events)))
    events["x"], events["y"] = generator.integers(0, SIDE, (2, len(events)))
    return events


def _process(name: str, *words: str, kept: object = None) -> Contender:
    """A Python process from its start to its end; ``kept`` lives as long as the contender."""

    def call() -> object:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        return kept

    return Contender(name, call, 1, time.perf_counter_ns)
