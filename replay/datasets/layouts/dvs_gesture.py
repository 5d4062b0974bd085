"""DVSGesture: user01_fluorescent.aedat with user01_fluorescent_labels.csv, AEDAT 3.1, DVS128.

A file holds several gestures; the csv (class, startTime_usec, endTime_usec) cuts it, and each
cut is one recording here. trials_to_train.txt and trials_to_test.txt name the files of the
published split; users 21..23 of the training files are kept for validation.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize

from ..dataset import About, DataSet, Recording

ABOUT = About(
    name="DVSGesture",
    licence="CC BY 4.0",
    source="Amir et al., 2017, doi:10.1109/CVPR.2017.781",
    how_to_get="https://research.ibm.com/interactive/dvsgesture/ (DvsGesture.tar.gz)",
)
SIZE = SensorSize(128, 128)
CLASSES = (
    "hand clapping", "right hand wave", "left hand wave", "right arm clockwise",
    "right arm counter clockwise", "left arm clockwise", "left arm counter clockwise",
    "arm roll", "air drums", "air guitar", "other gestures",
)  # fmt: skip
TRIALS = {"trials_to_train.txt": "train", "trials_to_test.txt": "test"}
FIRST_VALIDATION_USER = 21
_FILE = re.compile(r"user(\d+)_\w+\.aedat")


def recognises(root: Path) -> bool:
    """The list of training files is there."""
    return (root / "trials_to_train.txt").is_file()


def open_layout(root: Path, images: Path | None) -> DataSet:
    """One recording per gesture, in the order of the lists."""
    del images
    recordings: list[Recording] = []
    for list_name, split in TRIALS.items():
        for path in _files(root, root / list_name):
            for label, start_us, end_us in _spans(path):
                index = len(recordings)
                chosen = _split(path, split)
                recordings.append(
                    Recording(path, label, None, chosen, SIZE, index, start_us, end_us)
                )
    return DataSet(ABOUT, "dvs-gesture", root, SIZE, CLASSES, recordings)


def _split(path: Path, split: str) -> str:
    match = _FILE.fullmatch(path.name)
    late = match is not None and int(match.group(1)) >= FIRST_VALIDATION_USER
    return "validation" if split == "train" and late else split


def _files(root: Path, names: Path) -> Iterator[Path]:
    if not names.is_file():
        return
    for line in names.read_text().split():
        path = root / line
        if not path.is_file():
            raise RecordingError(
                f"each file named in {names} must be beside it; {line} is absent. Get it again: "
                f"{ABOUT.how_to_get}"
            )
        yield path


def _spans(path: Path) -> Iterator[tuple[int, int, int]]:
    """(label from 0, start, end in microseconds) of each gesture in a file."""
    labels = path.with_name(f"{path.stem}_labels.csv")
    if not labels.is_file():
        raise RecordingError(f"{path.name} must have its labels beside it; {labels} is absent")
    with labels.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if number == 1 and row and not row[0].isdigit():
                continue
            if len(row) != 3 or not all(word.strip().isdigit() for word in row):
                raise RecordingError(
                    f"a line of {labels} must hold class, start and end; line {number} holds "
                    f"{','.join(row)!r}"
                )
            label, start_us, end_us = (int(word) for word in row)
            if not 1 <= label <= len(CLASSES):
                raise RecordingError(
                    f"a class of {labels} must lie in 1..{len(CLASSES)}; line {number} has {label}"
                )
            yield label - 1, start_us, end_us
