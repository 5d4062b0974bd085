"""``streamvdib doctor``: is this installation fit for work, and what is missing for what."""

from __future__ import annotations

import argparse
import importlib.util
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

EXTRAS = {
    "faery": "prophesee",
    "lz4": "aedat4",
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd": "aedat4",
    "dv_processing": "camera-inivation",
    "neuromorphic_drivers": "camera-prophesee",
    "h5py": "hdf5",
    "hdf5plugin": "hdf5",
    "rosbags": "rosbag",
    "av": "video",
    "matplotlib": "plots",
    "sklearn": "experiments",
    "prometheus_client": "metrics",
    "sounddevice": "microphone",
}
CORE = ("numpy", "torch", "numba", "pyzmq", "msgpack", "safetensors", "pillow", "rich")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This command has no arguments of its own."""


def execute(_arguments: argparse.Namespace) -> int:
    """Print what is installed; run one step on every backend; 1 if something core fails."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="streamvdib doctor", title_justify="left")
    for column in ("part", "state", "what to do"):
        table.add_column(column)
    table.add_row("python", platform.python_version(), "")
    for name in CORE:
        table.add_row(name, *_core_state(name))
    for module, extra in EXTRAS.items():
        found = _is_installed(module)
        advice = "" if found else escape(f"pip install 'streamvdib[{extra}]'")
        table.add_row(f"{extra} ({module})", "installed" if found else "absent", advice)
    states = {name: _backend_state(name) for name in ("torch", "numba")}
    for name, state in states.items():
        table.add_row(
            f"backend {name}", escape(state), "" if state == "works" else "see the message"
        )
    table.add_row("CUDA", *_cuda_state())
    Console().print(table)
    return 0 if all(state == "works" for state in states.values()) else 1


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that the module lies in is absent
        return False


def _core_state(name: str) -> tuple[str, str]:
    try:
        return version(name), ""
    except PackageNotFoundError:
        return "absent", f"pip install {name}"


def _backend_state(name: str) -> str:
    """Run a tiny network for a few steps."""
    import numpy as np

    from streamvdib.backends import make_backend
    from streamvdib.input_steps import input_steps
    from streamvdib.model import new_model

    memory = {"kind": "exponential", "decay": 0.5, "tau_e": 4}
    neuron = {"kind": "srm", "response": memory, "feedback": memory, "stochastic": True}
    model = new_model(
        {
            "dt_us": 1000,
            "input_shape": [1, 2, 2],
            "layers": [{"connection": {"kind": "dense", "n_neurons": 3}, "neuron": neuron}],
            "decoder": {"kind": "linear", "tau_d": 2, "output_shape": [2, 2]},
        }
    )
    try:
        backend = make_backend(name, model.encoder, model.weights, n_lanes=1, seed=0)
        spikes = backend.advance(input_steps(np.ones((5, 1, 4))))
    except Exception as error:  # a report must go on and say what failed
        return f"fails: {error}"
    return "works" if spikes.shape == (5, 1, 3) else f"fails: shape {spikes.shape}"


def _cuda_state() -> tuple[str, str]:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0), ""
    return "absent", "the CPU is used"
