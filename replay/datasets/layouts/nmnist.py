"""N-MNIST: as published (Train/5/00001.bin), or flat with a labels.csv (train/00000.bin).

The published files are numbered from 1, the flat ones from 0 by their MNIST index. Recordings
of the training set with an MNIST index in 800..999 are kept for validation, in either layout;
the published Test folder is the test split.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize

from ..dataset import About, DataSet, Recording
from ..idx import HOW_TO_GET_MNIST, find_idx, read_images

ABOUT = About(
    name="N-MNIST",
    licence="CC BY-SA 4.0",
    source="Orchard et al., 2015, doi:10.3389/fnins.2015.00437",
    how_to_get=(
        "Train.zip and Test.zip from https://www.garrickorchard.com/datasets/n-mnist, or "
        "doi:10.17632/468j46mzdv.1; unpack both into one folder"
    ),
)
SIZE = SensorSize(34, 34)
VALIDATION = range(800, 1000)  # MNIST training indices
FOLDERS = {"Train": "train", "Test": "t10k"}  # to the prefix of MNIST's files
_FILE = re.compile(r"\d{5}\.bin")


def recognises(root: Path) -> bool:
    """A Train or Test folder with one folder per digit, or recordings with a labels.csv."""
    published = any((root / f / str(d)).is_dir() for f in FOLDERS for d in range(10))
    return published or _flat(root) is not None


def open_layout(root: Path, images: Path | None) -> DataSet:
    """All recordings; with ``images`` (a folder of MNIST) each has the image it shows."""
    flat = _flat(root)
    shown = {} if images is None else _shown(root, images, flat is not None)
    listed = list(_published(root) if flat is None else _listed(flat))
    recordings = []
    for folder, index, label, path in listed:
        target = _target(shown, folder, index, path)
        recordings.append(Recording(path, label, target, _split(folder, index), SIZE, index))
    notes = () if shown else (f"no target images: no folder with MNIST. {HOW_TO_GET_MNIST}",)
    digits = tuple(str(digit) for digit in range(10))
    return DataSet(ABOUT, "nmnist", root, SIZE, digits, recordings, notes)


def _split(folder: str, index: int) -> str:
    if folder == "Test":
        return "test"
    return "validation" if index in VALIDATION else "train"


def _shown(root: Path, images: Path, flat: bool) -> dict[str, npt.NDArray[np.uint8]]:
    """MNIST's images by folder, for the folders that are there."""
    wanted = ["Train"] if flat else [folder for folder in FOLDERS if (root / folder).is_dir()]
    return {
        folder: read_images(find_idx(images, f"{FOLDERS[folder]}-images-idx3-ubyte"))
        for folder in wanted
    }


def _target(
    shown: dict[str, npt.NDArray[np.uint8]], folder: str, index: int, path: Path
) -> npt.NDArray[np.uint8] | None:
    if folder not in shown:
        return None
    if not 0 <= index < len(shown[folder]):
        raise RecordingError(
            f"a recording's number must be that of an MNIST image, below {len(shown[folder])}; "
            f"{path} is image {index}"
        )
    image: npt.NDArray[np.uint8] = shown[folder][index]
    return image


def _published(root: Path) -> Iterator[tuple[str, int, int, Path]]:
    """(folder, MNIST index, label, path) in order of the index."""
    for folder in FOLDERS:
        found = [
            (folder, int(path.stem) - 1, digit, path)
            for digit in range(10)
            for path in (root / folder / str(digit)).glob("*.bin")
            if _FILE.fullmatch(path.name)
        ]
        yield from sorted(found)


def _flat(root: Path) -> Path | None:
    """The folder with recordings and labels.csv: ``root`` or its ``train``."""
    return next((f for f in (root, root / "train") if (f / "labels.csv").is_file()), None)


def _listed(folder: Path) -> Iterator[tuple[str, int, int, Path]]:
    path = folder / "labels.csv"
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if number == 1 and row and not row[0].isdigit():
                continue
            if len(row) != 2 or not (row[0].isdigit() and row[1].isdigit() and int(row[1]) < 10):
                raise RecordingError(
                    f"a line of {path} must hold an MNIST index and a digit; line {number} holds "
                    f"{','.join(row)!r}"
                )
            recording = folder / f"{int(row[0]):05d}.bin"
            if not recording.is_file():
                raise RecordingError(
                    f"each recording of {path} must be beside it; line {number} names "
                    f"{recording.name}, which is absent. Get it again: {ABOUT.how_to_get}"
                )
            yield "Train", int(row[0]), int(row[1]), recording
