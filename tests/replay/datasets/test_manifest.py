"""The project's own layout, and the demo recordings that are kept in it."""

from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.datasets import open_dataset
from streamvdib.replay.datasets.dataset import About
from streamvdib.replay.datasets.layouts.manifest import digest_of, read_keys
from streamvdib.replay.simulation.recordings import Shown, write_recordings
from streamvdib.replay.simulator import draw_digit, simulate_nmnist

from streamvdib.errors import RecordingError, SinkError
from streamvdib.events import EventArray, SensorSize, as_events

DEMO = Path(__file__).resolve().parents[3] / "replay" / "recordings" / "demo"


def one_event(image: np.ndarray, seed: int) -> EventArray:  # type: ignore[type-arg]
    return as_events([int(image[0, 0])], [seed], [3], [True])


def small_set(folder: Path) -> Path:
    shown = [Shown(np.full((2, 2), 7 * k, np.uint8), k, 100 + k) for k in range(3)]
    about = About('a "set"', "CC0", "nowhere", "make it")
    size = SensorSize(34, 34)
    list(write_recordings(folder, shown, one_event, size, about, seed=5, split="test"))
    return folder


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    data_set = open_dataset(small_set(tmp_path / "set"))
    assert (data_set.layout, data_set.about.name) == ("manifest", 'a "set"')
    one = data_set.recordings[2]
    assert (one.label, one.index, one.split) == (2, 102, "test")
    assert one.target is not None
    assert one.target.tolist() == [[14, 14], [14, 14]]
    assert one.read().tolist() == [(14, 7, 3, True)]


def test_a_folder_that_holds_something_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(SinkError, match="empty folder"):
        small_set(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("00001.bin,1,", "00001.bin,11,", "label must be a whole number below 10; line 3"),
        ("00001.bin,1,test", "00001.bin,1,dev", "split must be one of .* has 'dev'"),
        ("00001.bin", "../00001.bin", "file in the folder; line 3"),
        ("101,1", "101,9", "target must be a whole number below 3"),
        ("00001.bin,1,test,101,1\n", "", "3 recordings .* it lists 2"),
    ],
)
def test_a_bad_line_in_the_list_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = small_set(tmp_path / "set") / "recordings.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RecordingError, match=message):
        open_dataset(path.parent)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("width = 34", 'width = "34"', "width in"), ("licence", "license", "licence in"),
     ("name =", "name", "readable TOML")],
)  # fmt: skip
def test_a_bad_key_in_the_manifest_is_named(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = small_set(tmp_path / "set") / "dataset.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RecordingError, match=message):
        open_dataset(path.parent)


def test_the_digest_changes_with_any_byte(tmp_path: Path) -> None:
    data_set = open_dataset(small_set(tmp_path / "set"))
    files = [one.path for one in data_set.recordings]
    stated = read_keys(data_set.root)["digest"]
    assert digest_of(files, data_set.root) == stated
    content = bytearray(files[1].read_bytes())
    content[-1] ^= 1
    files[1].write_bytes(content)
    assert digest_of(files, data_set.root) != stated


def test_the_demo_recordings_are_whole_small_and_show_each_digit_twice() -> None:
    data_set = open_dataset(DEMO)
    files = [one.path for one in data_set.recordings]
    assert digest_of(files, DEMO) == read_keys(DEMO)["digest"]
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 500_000
    assert sorted(one.label for one in data_set.recordings) == sorted([*range(10)] * 2)


def test_the_demo_recordings_are_those_that_their_command_makes() -> None:
    """``streamvdib simulate nmnist --images drawn --n 20 --seed 1``: drawing k, seed 1 + k."""
    for one in open_dataset(DEMO).recordings[::5]:
        assert one.target is not None
        np.testing.assert_array_equal(one.target, draw_digit(one.index % 10, one.index // 10))
        again = simulate_nmnist(one.target, 1 + one.index)
        assert len(again) == pytest.approx(len(one.read()), rel=0.005)  # libm may differ
