"""Sinks: what is pushed can be read back, at any moment; what cannot be written is an error."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamvdib.engine import Frame
from streamvdib.errors import ConfigurationError, SinkError
from streamvdib.input_steps import input_steps
from streamvdib.sinks import open_sink
from streamvdib.sinks.rendering import EventPicture, as_gray, grid, side_by_side, streams_as_gray


def frame(step: int) -> tuple[Frame, np.ndarray]:
    picture = np.full((6, 9), 40 * step, dtype=np.uint8)
    return Frame(step, 0, 1000 * (step + 1), picture[None] / np.float32(255)), picture


def test_a_folder_holds_one_file_per_frame_with_its_pixels(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "frames")
    for step in range(3):
        sink.push(*frame(step))
    sink.close()
    files = sorted((tmp_path / "frames").iterdir())
    assert next(f.name for f in files) == "frame-00000000-1000us.png"
    for step, file in enumerate(files):
        np.testing.assert_array_equal(np.array(Image.open(file)), frame(step)[1])


def test_an_animation_is_whole_after_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    sink = open_sink(path)
    for step in range(4):
        sink.push(*frame(step))
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == step + 1
            image.seek(step)
            np.testing.assert_array_equal(np.array(image.convert("L")), frame(step)[1])
    sink.close()
    sink.close()


def test_a_video_holds_every_frame_in_order(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="video needs the extra streamvdib[video]")
    sink = open_sink(tmp_path / "v.mp4", frames_per_second=50)
    for step in range(5):
        sink.push(*frame(step))
    sink.close()
    sink.close()
    with av.open(str(tmp_path / "v.mp4")) as container:
        means = [image.to_ndarray(format="gray").mean() for image in container.decode(video=0)]
    assert len(means) == 5
    np.testing.assert_allclose(means, [40 * step for step in range(5)], atol=20)
    assert means == sorted(means)


@pytest.mark.parametrize("name", ["file/frames", "file/a.gif", "file/v.mp4"])
def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SinkError, match="to write to"):
        open_sink(tmp_path / name)


def test_an_ending_that_names_no_sink_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"a folder, a .gif or an .mp4 file; got 'x.avi'"):
        open_sink("x.avi")


def test_gray_clips_what_lies_outside_and_blackens_what_is_no_number() -> None:
    assert as_gray(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan])).tolist() == [
        0, 0, 128, 255, 255, 0,
    ]  # fmt: skip


def test_pictures_of_streams_stand_side_by_side_and_vectors_become_bars() -> None:
    assert streams_as_gray(np.ones((2, 3, 5))).shape == (3, 14)
    assert streams_as_gray(np.ones((2, 10))).shape == (1, 24)
    assert side_by_side([np.ones((4, 2), np.uint8), np.ones((2, 2), np.uint8)]).shape == (4, 8)
    assert grid([np.ones((2, 2), np.uint8)] * 3, n_columns=2).shape == (8, 8)


def test_on_is_white_off_is_black_and_silence_is_gray() -> None:
    picture = EventPicture((2, 1, 3))
    picture.observe(input_steps([[[1, 0, 0, 0, 0, 1]]]))
    np.testing.assert_allclose(picture.pictures(), [[[0.0, 0.5, 1.0]]])
    picture.clear()
    np.testing.assert_allclose(picture.pictures(), 0.5)


def test_callbacks_get_the_frame() -> None:
    from streamvdib.sinks.callback import CallbackSink

    seen: list[Frame] = []
    keep: Callable[[Frame], None] = seen.append
    CallbackSink(keep).push(*frame(1))
    assert seen[0].step == 1
