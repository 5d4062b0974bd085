"""What a checkpoint costs the thread that steps, beside a bare copy of the same tensors.

    python tests/benchmarks/snapshot_cost.py

The model "nmnist" (3.6 million weights) with one lane, after a second of events, without and with
a learner. Timed is the processor time of this thread alone, so that other work on the machine
does not count: ``Engine.snapshot`` and ``CheckpointWriter.submit``, ``repeats`` times in turn with
``torch.clone`` of every tensor in the snapshot.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamvdib.checkpoints import Checkpoints, CheckpointWriter
from streamvdib.engine import Engine
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.geometry import fit_geometry
from streamvdib.learning.guard import make_guarded_learner
from streamvdib.model import load_model

SIZE = SensorSize(34, 34)
N_EVENTS = 20_000


def engine_after_a_second(learning: bool) -> Engine:
    """The engine, with the state that a second of events leaves."""
    model = load_model("nmnist")
    engine = Engine(model, fit_geometry(SIZE, model.encoder.input_shape), decode_every=0)
    if learning:
        engine.learner = make_guarded_learner(engine, {"learning_rate": 1e-4})
    random = np.random.default_rng(0)
    times = np.sort(random.integers(0, 1_000_000, N_EVENTS))
    x, y = random.integers(0, SIZE.width, N_EVENTS), random.integers(0, SIZE.height, N_EVENTS)
    engine.advance(EventPacket(as_events(times, x, y, random.integers(0, 2, N_EVENTS)), 1_000_000))
    return engine


def milliseconds(do: Callable[[], object]) -> float:
    """Processor time of this thread that ``do`` takes."""
    began = time.thread_time()
    do()
    return 1e3 * (time.thread_time() - began)


def measure(engine: Engine, folder: Path, repeats: int) -> dict[str, Any]:
    """Medians over ``repeats``, in turn."""
    tensors = list(engine.snapshot().tensors.values())
    clones, snapshots, submits = [], [], []
    with Checkpoints(folder) as checkpoints, CheckpointWriter(checkpoints) as writer:
        for _ in range(repeats):
            clones.append(milliseconds(lambda: [tensor.clone() for tensor in tensors]))
            snapshots.append(milliseconds(engine.snapshot))
            state = engine.snapshot()
            submits.append(milliseconds(lambda state=state: writer.submit(state)))
            writer.flush()
    return {
        "tensors": len(tensors),
        "megabytes": round(sum(t.numel() * t.element_size() for t in tensors) / 1e6, 1),
        "clone_ms": round(float(np.median(clones)), 3),
        "snapshot_ms": round(float(np.median(snapshots)), 3),
        "submit_ms": round(float(np.median(submits)), 3),
    }


def main() -> None:
    """Print one JSON line without, and one with a learner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=51)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    for learning in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(engine_after_a_second(learning), Path(folder), repeats)
        print(json.dumps({"learning": learning, **figures, "machine": platform.machine()}))  # noqa: T201


if __name__ == "__main__":
    main()
