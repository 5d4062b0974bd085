"""Targets by time: what each kind gives, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamvdib.errors import ConfigurationError, TargetError
from streamvdib.events import EventPacket, SensorSize, TimedImage, empty_events
from streamvdib.geometry import Box, Geometry
from streamvdib.learning.targets import (
    FixedTarget,
    SensorFrames,
    TimedTargets,
    open_targets,
    watched,
)
from tests.learning.networks import tiny_model

MODEL = tiny_model()
CLASSES = tiny_model(decoder={"output_shape": [4]})


def test_timed_targets_give_the_last_one_at_or_before_a_step() -> None:
    targets = TimedTargets(np.array([10, 20]), np.array([[1.0], [2.0]], np.float32))
    found = [targets.at(end_us) for end_us in (9, 10, 19, 20, 99)]
    assert found[0] is None
    assert [float(t[0, 0]) for t in found[1:] if t is not None] == [1.0, 1.0, 2.0, 2.0]


def test_sensor_frames_are_targets_once_and_only_when_their_time_has_come() -> None:
    frames = SensorFrames((2, 2))
    image = TimedImage(500, np.full((4, 4), 255, np.uint8))
    packet = EventPacket(empty_events(), 1000, (image,))
    assert list(watched(iter([packet]), frames)) == [packet]
    assert frames.at(500) is None
    shown = frames.at(600)
    assert shown is not None
    assert shown.tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    assert frames.at(700) is None


def test_sensor_frames_may_stay_until_the_next() -> None:
    frames = SensorFrames((4, 4), once=False)
    frames.watch(EventPacket(empty_events(), 10, (TimedImage(5, np.zeros((4, 4), np.uint8)),)))
    assert frames.at(6) is not None
    assert frames.at(10_000) is not None


def test_sensor_frames_are_cut_as_the_sensor_is() -> None:
    """A 4 x 6 sensor, its middle 2 x 4 in two tiles; each tile's own part of the frame."""
    geometry = Geometry(SensorSize(6, 4), Box(1, 1, 4, 2), tile=(2, 2))
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    frames = SensorFrames((2, 2), geometry)
    frames.watch(EventPacket(empty_events(), 10, (TimedImage(5, pixels),)))
    found = frames.at(10)
    assert found is not None
    assert np.rint(found * 255).tolist() == [[[7, 8], [13, 14]], [[9, 10], [15, 16]]]


def test_an_image_file_is_resized_to_the_models_output(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(np.full((6, 6), 51, np.uint8)).save(path)
    targets = open_targets(f"image:{path}", MODEL)
    np.testing.assert_allclose(targets.at(0), np.full((1, 2, 2), 0.2), atol=1e-6)


def test_a_label_is_one_hot() -> None:
    found = open_targets("label:2", CLASSES).at(0)
    assert found is not None
    assert found.tolist() == [[0.0, 0.0, 1.0, 0.0]]


def test_an_npz_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "targets.npz"
    np.savez(path, t_us=np.array([0, 5]), targets=np.zeros((2, 2, 2), np.float32))
    assert open_targets(str(path), MODEL).at(3) is not None


@pytest.mark.parametrize("word", ["cats", "image:", "label:", "frames.mp4"])
def test_words_that_cannot_be_meant_are_named(word: str) -> None:
    with pytest.raises(ConfigurationError, match="targets must be"):
        open_targets(word, MODEL)


def test_files_and_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "targets.npz"
    np.savez(path, t_us=np.array([0]), targets=np.zeros((1, 3, 3), np.float32))
    for word in (str(path), f"image:{path}", str(tmp_path / "none.npz"), "label:1"):
        with pytest.raises(TargetError):
            open_targets(word, MODEL)
    for word in ("label:9", "image:x.png"):
        with pytest.raises(TargetError):
            open_targets(word, CLASSES)
    with pytest.raises(ConfigurationError):
        open_targets("frames", CLASSES)


GOOD = {"t_us": np.array([0, 5]), "targets": np.zeros((2, 2, 2), np.float32)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t_us": np.array([0.0, 1.5])}, "whole microseconds; got float64"),
        ({"t_us": np.array([[0], [5]])}, r"one row .* shape \(2, 1\)"),
        ({"t_us": np.array([5, 0])}, "run back"),
        ({"t_us": np.array([5, 0], np.uint64)}, "run back"),
        ({"t_us": np.array([0])}, "as many"),
        ({"targets": np.full((2, 2, 2), np.nan)}, "finite"),
        ({"targets": np.full((2, 2, 2), 255.0)}, "bernoulli decoder must lie from 0 to 1; .* 255"),
        ({"targets": np.zeros((2, 3, 2))}, r"shape \(n, 2, 2\); .* has \(2, 3, 2\)"),
        ({"targets": np.full((2, 2, 2), "x")}, "convert"),
    ],
)
def test_what_is_wrong_in_an_npz_file_is_told_with_its_name(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "targets.npz"
    np.savez(path, **(GOOD | change))
    with pytest.raises(TargetError, match=message) as told:
        open_targets(str(path), MODEL)
    assert str(path) in str(told.value)


def test_a_file_that_is_no_archive_or_cut_short_is_told(tmp_path: Path) -> None:
    path = tmp_path / "targets.npz"
    path.write_text("junk")
    with pytest.raises(TargetError, match="no archive"):
        open_targets(str(path), MODEL)
    np.savez_compressed(path, **GOOD)
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(TargetError, match="npz file"):
        open_targets(str(path), MODEL)


def test_targets_that_are_not_finite_or_run_back_are_refused() -> None:
    with pytest.raises(TargetError, match="finite"):
        FixedTarget(np.array([np.nan], np.float32))
    with pytest.raises(TargetError, match="run back"):
        TimedTargets(np.array([5, 4]), np.zeros((2, 1), np.float32))
    with pytest.raises(TargetError, match="as many"):
        TimedTargets(np.array([5]), np.zeros((2, 1), np.float32))
