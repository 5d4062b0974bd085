"""``streamvdib reproduce spiking-autoencoder`` and ``audio-to-image``, as a user calls them."""

import gzip
import json
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from streamvdib.replay.experiments.spiking_autoencoder_files import write_weights
from streamvdib.replay.experiments.spiking_autoencoder_training import (
    dense_network,
    initial_weights,
)

from streamvdib.cli import main

pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def write_idx(path: Path, values: np.ndarray) -> None:
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(b"\0\0\x08" + bytes([values.ndim]) + sizes + values.tobytes()))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder like MNIST's: 200 images, 20 of every class."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for part in ("train", "t10k"):
        pixels = (generator.random((200, 28, 28)) * 255).astype(np.uint8)
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", pixels)
        labels = np.repeat(np.arange(10), 20).astype(np.uint8)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)
    return folder


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A folder like FSDD's: every digit by five speakers, one recording each to test on."""
    folder = tmp_path / "speech"
    folder.mkdir()
    for digit in range(10):
        for speaker in ("ann", "bob", "cleo", "dora", "eve"):
            for index in (0, 5):
                time = np.arange(1_600) / 8_000
                samples = (8_000 * np.sin(2 * np.pi * (300 + 200 * digit) * time)).astype("<i2")
                with wave.open(str(folder / f"{digit}_{speaker}_{index}.wav"), "wb") as file:
                    file.setparams((1, 2, 8_000, 0, "NONE", "not compressed"))
                    file.writeframes(samples.tobytes())
    return folder


def test_a_run_that_does_not_exist_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", "spiking-autoencoder", "--data", str(tmp_path), "--only", "mnist-worse"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "mnist-worse" in capsys.readouterr().err


def test_a_report_of_nothing_done_is_empty_tables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "spiking-autoencoder", "--data", str(tmp_path), "--out", str(out)]
    assert main([*words, "--report"]) == 0
    assert json.loads((out / "spiking-autoencoder.json").read_text())["spiking"] == []


@pytest.mark.slow
def test_audio_to_image_writes_its_report_and_a_model_that_runs(
    tmp_path: Path, images: Path, speech: Path
) -> None:
    out, kept = tmp_path / "out", tmp_path / "autoencoder.safetensors"
    write_weights(initial_weights(dense_network((784, 196, 784), 0.1), "he", 0), kept)
    words = ["reproduce", "audio-to-image", "--mnist", str(images), "--speech", str(speech)]
    words += ["--out", str(out), "--autoencoder", str(kept), "--epochs", "1"]
    words += ["--map-steps", "2", "--map-steps-b", "2"]
    assert main(words) == 0
    page = (out / "audio-to-image.md").read_text()
    for name in ("A-snn-2", "B-snn-2", "A-ann-adam-1", "B-ann-16"):
        assert f"| {name} |" in page
    assert (out / "figure-7.png").is_file()
    assert (out / "figure-8.png").is_file()
    before = (out / "runs" / "results.json").read_text()
    assert main(words) == 0, "called again, it only reports"
    assert (out / "runs" / "results.json").read_text() == before
    assert main([*words, "--map-steps", "1", "--report"]) == 0, "nothing is trained"
    assert "A-snn-1 " not in (out / "audio-to-image.md").read_text()
    frames = tmp_path / "frames"
    model = str(out / "audio-to-image.safetensors")
    sound = str(speech / "3_ann_0.wav")
    command = ["run", sound, "--model", model, "--every-us", "20000", "--out", str(frames)]
    assert main([*command, "--quiet"]) == 0
    assert len(list(frames.glob("*.png"))) == 15
