"""The reader of the Free Spoken Digit Dataset."""

import io
import tarfile
import wave
from pathlib import Path

import numpy as np
import pytest
from streamvdib.replay.speech import ARCHIVE_NAME, read_spoken_digits

from streamvdib.errors import RecordingError

NAMES = ["3_ann_5.wav", "3_ann_4.wav", "0_bob_12.wav"]


def wav(n_samples: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", "not compressed"))
        file.writeframes(np.full(n_samples, 8_192, dtype="<i2").tobytes())
    return buffer.getvalue()


def archive(folder: Path) -> Path:
    path = folder / ARCHIVE_NAME
    with tarfile.open(path, "w:gz") as tar:
        for index, name in enumerate([*NAMES, "readme.txt"]):
            content = wav(10 + index)
            member = tarfile.TarInfo(f"recordings/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_names_tell_digit_speaker_and_index(tmp_path: Path) -> None:
    archive(tmp_path)
    found = read_spoken_digits(tmp_path)
    assert [(d.digit, d.speaker, d.index, len(d.samples)) for d in found] == [
        (0, "bob", 12, 12), (3, "ann", 4, 11), (3, "ann", 5, 10),
    ]  # fmt: skip
    assert found[0].samples[0] == pytest.approx(0.25)
    assert found[0].rate_hz == 8_000


def test_the_first_five_of_every_speaker_and_digit_are_for_testing(tmp_path: Path) -> None:
    archive(tmp_path)
    assert [digit.is_test for digit in read_spoken_digits(tmp_path)] == [False, True, False]


def test_a_folder_of_files_is_the_archive_unpacked(tmp_path: Path) -> None:
    for index, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(wav(10 + index))
    assert [d.index for d in read_spoken_digits(tmp_path)] == [12, 4, 5]


@pytest.mark.parametrize("make", ["empty", "absent", "damaged"])
def test_what_holds_no_recordings_is_an_error(tmp_path: Path, make: str) -> None:
    path = tmp_path / "data"
    if make == "empty":
        path.mkdir()
    elif make == "damaged":
        path.write_bytes(b"no archive")
    with pytest.raises(RecordingError, match="free-spoken-digit-dataset"):
        read_spoken_digits(path)


@pytest.mark.slow
def test_the_real_data_set_has_3000_recordings_of_which_300_are_for_testing(
    shared_data: Path,
) -> None:
    if not (shared_data / "fsdd").is_dir():
        pytest.skip(f"the Free Spoken Digit Dataset is read from {shared_data / 'fsdd'}")
    found = read_spoken_digits(shared_data / "fsdd")
    assert len(found) == 3_000
    assert sum(digit.is_test for digit in found) == 300
    assert len({digit.speaker for digit in found}) == 6
