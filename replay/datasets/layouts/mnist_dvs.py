"""MNIST-DVS: grabbed_data0/scale04/mnist_0_scale04_0001.aedat and so on, 1,000 per digit and scale.

The digit moves slowly on a screen before a DVS128. The set has no split of its own: here the
numbers 901..1000 of each digit are for test, 801..900 for validation. Only one scale is opened
(04, the paper's, when it is there). It does not say which MNIST image a recording shows, so
there are no target images.
"""

from __future__ import annotations

import re
from pathlib import Path

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize

from ..dataset import About, DataSet, Recording

ABOUT = About(
    name="MNIST-DVS",
    licence="as stated by its authors (research use, cite the publication)",
    source="Serrano-Gotarredona and Linares-Barranco, 2015, doi:10.3389/fnins.2015.00481",
    how_to_get="http://www2.imse-cnm.csic.es/caviar/MNISTDVS.html (one archive per scale)",
)
SIZE = SensorSize(128, 128)
PREFERRED_SCALE = 4
_FILE = re.compile(r"mnist_(\d)_scale(\d+)_(\d+)\.aedat")


def recognises(root: Path) -> bool:
    """Some file deep in it is named as the set names its recordings."""
    return any(_FILE.fullmatch(path.name) for path in root.rglob("mnist_*.aedat"))


def open_layout(root: Path, images: Path | None) -> DataSet:
    """The recordings of one scale, by digit and number."""
    del images
    found: dict[int, list[tuple[int, int, Path]]] = {}
    for path in root.rglob("mnist_*.aedat"):
        match = _FILE.fullmatch(path.name)
        if match:
            digit, scale, number = (int(group) for group in match.groups())
            found.setdefault(scale, []).append((digit, number, path))
    if not found:
        raise RecordingError(f"{root} must hold recordings named mnist_D_scaleNN_NNNN.aedat")
    scale = PREFERRED_SCALE if PREFERRED_SCALE in found else min(found)
    recordings = [
        Recording(path, digit, None, _split(number), SIZE, number)
        for digit, number, path in sorted(found[scale])
    ]
    notes = [f"scale {scale:02d} of the scales {', '.join(f'{s:02d}' for s in sorted(found))}"]
    notes.append("no target images: the set does not say which image a recording shows")
    digits = tuple(str(digit) for digit in range(10))
    return DataSet(ABOUT, "mnist-dvs", root, SIZE, digits, recordings, tuple(notes))


def _split(number: int) -> str:
    return "test" if number > 900 else "validation" if number > 800 else "train"
