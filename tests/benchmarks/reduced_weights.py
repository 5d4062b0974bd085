"""What a step costs with weights of fewer bits: one thread, all types by turns in one process.

    python tests/benchmarks/reduced_weights.py [--rounds 40]

676 -> 600 -> 256, chunks of 256 steps, random input of 0 to 20 % active lines and fixed seeds.
CPU time of the thread, microseconds per step of all lanes: the least, and the median.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from streamvdib.backends import make_backend
from streamvdib.commands.bench_scenarios import N_HIDDEN, N_INPUTS, N_OUTPUTS, model
from streamvdib.input_steps import input_steps
from streamvdib.reduced_weights import WEIGHT_TYPES, with_reduced_weights

N_STEPS = 256
CASES = [(0.0, 1), (0.02, 1), (0.05, 1), (0.2, 1), (0.02, 16)]  # activity, lanes


def main() -> None:
    """Print one line per case and type."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    built = model([N_HIDDEN, N_OUTPUTS])
    for activity, n_lanes in CASES:
        spikes = np.random.default_rng(0).random((N_STEPS, n_lanes, N_INPUTS)) < activity
        chunk = input_steps(spikes)
        backends = {}
        for weight_type in WEIGHT_TYPES:
            given = with_reduced_weights(built, weight_type)
            backends[weight_type] = make_backend(
                "numba", given.encoder, given.weights, n_lanes=n_lanes, seed=0
            )
        times: dict[str, list[float]] = {name: [] for name in backends}
        for _ in range(rounds):
            for name, backend in backends.items():
                began = time.thread_time()
                backend.advance(chunk)
                times[name].append((time.thread_time() - began) / N_STEPS * 1e6)
        wide = min(times["float32"])
        for name, values in times.items():
            print(  # noqa: T201 - the script's output
                f"{100 * activity:4.1f} % active, {n_lanes:2d} lanes, {name:7s}: "
                f"least {min(values):6.2f} us ({wide / min(values):.2f} x float32), "
                f"median {statistics.median(values):6.2f}"
            )


if __name__ == "__main__":
    main()
