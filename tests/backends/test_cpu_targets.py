"""The compiled loops give the same bits whatever vectors the CPU has."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from streamvdib.backends import make_backend
from streamvdib.commands.bench_scenarios import model
from streamvdib.decoding import make_decoding
from streamvdib.input_steps import input_steps
from streamvdib.spike_window import SpikeWindow

N_LANES, N_STEPS = 9, 40


def digest() -> str:
    """Of spikes, potentials and frames, in chunks and in single steps."""
    found = hashlib.sha256()
    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    built = model([150, 70], tau_d=5)
    inputs = input_steps(generator.random((N_STEPS, N_LANES, 676)) < 0.05)
    for dtype in (torch.float32, torch.float64):
        backend = make_backend(
            "numba", built.encoder, built.weights, n_lanes=N_LANES, seed=0, dtype=dtype
        )
        trace = backend.watch(inputs)
        for values in (*trace.spikes, *trace.potentials):
            found.update(np.ascontiguousarray(values).tobytes())
        for step in range(10):
            found.update(backend.advance(inputs.part(step, step + 1)).tobytes())
    for n_lanes in (1, N_LANES):
        window = SpikeWindow(5, n_lanes, 70)
        window.push(trace.spikes[-1][:, :n_lanes])
        found.update(make_decoding(built, window)().tobytes())
    return found.hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names CPUs of x86-64")
@pytest.mark.parametrize("cpu", ["x86-64", "haswell"])
def test_older_cpus_give_the_same_bits(cpu: str, tmp_path: Path) -> None:
    """SSE2, and AVX2 with fused operations, against what this CPU has."""
    names = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    program = f"from {__name__} import digest; print(digest())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()
