"""N-Caltech101: Caltech101/<class>/image_0001.bin, 101 classes, ATIS 40-bit events.

Recordings differ in size; 240 x 180 holds them all. The set has no split of its own: here every
tenth recording of a class is for test and the one before it for validation.
"""

from __future__ import annotations

import re
from pathlib import Path

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize

from ..dataset import About, DataSet, Recording

ABOUT = About(
    name="N-Caltech101",
    licence="CC BY 4.0",
    source="Orchard et al., 2015, doi:10.3389/fnins.2015.00437",
    how_to_get=(
        "https://www.garrickorchard.com/datasets/n-caltech101, or doi:10.17632/cy6cvx3ryv.1"
    ),
)
SIZE = SensorSize(240, 180)
_FILE = re.compile(r"image_(\d+)\.bin")


def recognises(root: Path) -> bool:
    """A folder per class with recordings named image_NNNN.bin."""
    return any(_FILE.fullmatch(path.name) for path in _top(root).glob("*/image_*.bin"))


def open_layout(root: Path, images: Path | None) -> DataSet:
    """All recordings, by class and number."""
    del images
    top = _top(root)
    classes = sorted({path.parent.name for path in top.glob("*/image_*.bin")})
    if not classes:
        raise RecordingError(f"{root} must hold recordings named CLASS/image_NNNN.bin")
    recordings = []
    for label, name in enumerate(classes):
        for path in sorted((top / name).glob("image_*.bin")):
            match = _FILE.fullmatch(path.name)
            if match:
                number = int(match.group(1))
                recordings.append(Recording(path, label, None, _split(number), SIZE, number))
    return DataSet(ABOUT, "n-caltech101", root, SIZE, tuple(classes), recordings)


def _top(root: Path) -> Path:
    return root / "Caltech101" if (root / "Caltech101").is_dir() else root


def _split(number: int) -> str:
    return {0: "test", 9: "validation"}.get(number % 10, "train")
