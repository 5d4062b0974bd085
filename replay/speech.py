"""The Free Spoken Digit Dataset: 3,000 recordings of the digits 0 to 9 by six speakers.

Files are named ``{digit}_{speaker}_{index}.wav``; recordings 0 to 4 of every speaker and digit
are for testing (the split that the data set recommends), the others for learning. All speakers
are in both parts. https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamvdib.errors import RecordingError
from streamvdib.sources.wav import Samples, read_wav

N_TEST_INDICES = 5
ARCHIVE_NAME = "fsdd_recordings.tar.gz"
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
_HOW_TO_GET = "Get it from https://github.com/Jakobovski/free-spoken-digit-dataset"


@dataclass(frozen=True)
class SpokenDigit:
    """One recording."""

    digit: int
    speaker: str
    index: int
    rate_hz: int
    samples: Samples  # in [-1, 1]

    @property
    def is_test(self) -> bool:
        """Whether it is never learned from."""
        return self.index < N_TEST_INDICES


def read_spoken_digits(path: str | Path) -> list[SpokenDigit]:
    """All recordings, in order of digit, speaker and index.

    Args:
        path: the folder of WAV files, the archive, or the folder that the archive lies in.

    Raises:
        RecordingError: no such recordings there.
    """
    recordings = [
        _spoken_digit(match, content) for match, content in _files(Path(path)) if match is not None
    ]
    if not recordings:
        raise RecordingError(
            f"spoken digits must be WAV files named digit_speaker_index.wav; {path} holds none. "
            f"{_HOW_TO_GET}."
        )
    return sorted(recordings, key=lambda one: (one.digit, one.speaker, one.index))


def _files(path: Path) -> Iterator[tuple[re.Match[str] | None, bytes]]:
    archive = path / ARCHIVE_NAME if (path / ARCHIVE_NAME).is_file() else path
    if archive.is_dir():
        for file in archive.rglob("*.wav"):
            yield _NAME.fullmatch(file.name), file.read_bytes()
        return
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield _NAME.fullmatch(Path(member.name).name), content.read()
    except (OSError, tarfile.TarError) as error:
        raise RecordingError(
            f"spoken digits must be a folder of WAV files or their archive; {archive}: {error}. "
            f"{_HOW_TO_GET}."
        ) from error


def _spoken_digit(match: re.Match[str], content: bytes) -> SpokenDigit:
    rate_hz, samples = read_wav(io.BytesIO(content), match.group(0))
    return SpokenDigit(int(match[1]), match[2], int(match[3]), rate_hz, samples)
