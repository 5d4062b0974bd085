"""POKER-DVS: pips cut from a deck of cards flicked before a DVS, 4 classes.

Recognised: pips_train/ and pips_test/ with one folder per suit (cl, he, di, sp), in the form in
which the set is passed on, recordings of any format that ``open_source`` reads. The pips of the
training folder whose place in the sorted list of their suit is a multiple of five are kept for
validation.
"""

from __future__ import annotations

from pathlib import Path

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize

from ..dataset import About, DataSet, Recording

ABOUT = About(
    name="POKER-DVS",
    licence="as stated by its authors (research use, cite the publication)",
    source="Serrano-Gotarredona and Linares-Barranco, 2015, doi:10.3389/fnins.2015.00481",
    how_to_get="http://www2.imse-cnm.csic.es/caviar/POKERDVS.html",
)
SIZE = SensorSize(35, 35)
CLASSES = ("cl", "he", "di", "sp")
FOLDERS = {"pips_train": "train", "pips_test": "test"}


def recognises(root: Path) -> bool:
    """A pips_train or pips_test folder with the folder of a suit in it."""
    return any((root / folder / suit).is_dir() for folder in FOLDERS for suit in CLASSES)


def open_layout(root: Path, images: Path | None) -> DataSet:
    """All recordings, by folder, suit and name."""
    del images
    recordings: list[Recording] = []
    for folder, split in FOLDERS.items():
        for label, suit in enumerate(CLASSES):
            files = sorted(p for p in (root / folder / suit).glob("*") if p.is_file())
            for place, path in enumerate(files):
                held_back = split == "train" and place % 5 == 0
                chosen = "validation" if held_back else split
                index = len(recordings)
                recordings.append(Recording(path, label, None, chosen, SIZE, index))
    if not recordings:
        raise RecordingError(f"the folders pips_train and pips_test of {root} must hold recordings")
    return DataSet(ABOUT, "poker-dvs", root, SIZE, CLASSES, recordings)
