"""Child processes that start fast, and small files for them to run on."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from streamvdib.endurance.children import PRELOADED, command
from streamvdib.endurance.workload import SENSOR, packets, small_model
from streamvdib.model import save_model

N_PACKETS = 250
Start = Callable[..., BaseProcess]


@pytest.fixture(scope="session")
def start() -> Start:
    """Start ``function(*arguments)`` in a process of its own, forked from a warm server."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def start_process(function: Callable[..., object], *arguments: Any) -> BaseProcess:
        process = context.Process(target=function, args=arguments, daemon=True)
        process.start()
        return process

    return start_process


@pytest.fixture(scope="session")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``model.safetensors`` and ``recording.txt`` of ``N_PACKETS``."""
    folder = tmp_path_factory.mktemp("small")
    save_model(small_model(), folder / "model.safetensors")
    lines = [
        f"{event['t_us']} {event['x']} {event['y']} {int(event['on'])}"
        for packet in packets(5, N_PACKETS)
        for event in packet.events
    ]
    header = [f"{SENSOR.width} {SENSOR.height}"]
    (folder / "recording.txt").write_text("\n".join(header + lines) + "\n")
    return folder


@pytest.fixture
def run(start: Start, small_files: Path) -> Callable[..., BaseProcess]:
    """Start ``streamvdib run`` on the small recording with further words."""

    def run_small(*words: str, source: str | None = None) -> BaseProcess:
        recording = source or str(small_files / "recording.txt")
        model = str(small_files / "model.safetensors")
        fixed = ["--model", model, "--sensor-size", "8x8", "--quiet", "--backend", "torch"]
        return start(command, ["run", recording, *fixed, *words])

    return run_small
