"""The example clients run against a service; two of them have nothing of this project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def output_of(words: list[str], environment: dict[str, str] | None = None) -> list[str]:
    result = subprocess.run(
        words, capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})}
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("name", ["subscriber.py", "frames.py", "frames_async.py"])
def test_a_python_example_gets_frames(make_server, name: str) -> None:
    server = make_server()
    lines = output_of([sys.executable, str(EXAMPLES / name), server.service.data_address, "5"])
    assert len([line for line in lines if "digits" in line]) == 5


def test_the_readme_gets_frames(make_server) -> None:
    readme = (EXAMPLES.parents[1] / "README.md").read_text()
    snippet = next(s for s in readme.split("```") if "FrameClient" in s).removeprefix("python\n")
    address = make_server().service.data_address
    snippet = snippet.replace("tcp://127.0.0.1:5555", address) + "        break\n"
    assert "(4, 5)" in output_of([sys.executable, "-c", snippet])[0]


def test_the_plain_example_imports_nothing_of_ours() -> None:
    assert "streamvdib" not in (EXAMPLES / "subscriber.py").read_text()
    assert "streamvdib" not in (EXAMPLES / "subscriber.js").read_text()


@pytest.mark.peer
def test_node_gets_frames(make_server) -> None:
    """With NODE_PATH naming a folder in which ``npm install zeromq @msgpack/msgpack`` was run."""
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    probe = "require('zeromq'); require('@msgpack/msgpack')"
    if subprocess.run(["node", "-e", probe], capture_output=True).returncode != 0:
        pytest.skip("NODE_PATH names no folder with the packages zeromq and @msgpack/msgpack")
    server = make_server()
    script = str(EXAMPLES / "subscriber.js")
    lines = output_of(["node", script, server.service.data_address, "5"])
    assert len([line for line in lines if "5x4" in line]) == 5
