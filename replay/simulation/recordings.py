"""Whole data sets of simulated recordings: event files, target images and a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import SinkError
from streamvdib.events import EventArray, EventPacket, SensorSize

from ..datasets.dataset import About
from ..datasets.idx import write_images
from ..datasets.layouts.manifest import write_manifest
from ..writers import open_writer

TARGETS = "targets.idx3-ubyte.gz"
DIGITS = tuple(str(digit) for digit in range(10))
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """An image, what it is, and the number it has where it comes from."""

    image: Image  # (height, width)
    label: int
    index: int


def write_recordings(
    folder: Path, shown: list[Shown], simulate: Callable[[Image, int], EventArray],
    size: SensorSize, about: About, *, seed: int, split: str,
) -> Iterator[EventArray]:  # fmt: skip
    """Simulate and write one recording after another; the manifest follows the last.

    Args:
        folder: is made; must be empty or absent.
        shown: the images.
        simulate: image and seed to events. Recording k gets the seed ``seed + k``.
        size: of the sensor.
        about: provenance, for the manifest.
        seed: of the first recording.
        split: of all of them.

    Yields:
        The events of each recording after it has been written.
    """
    _prepare(folder)
    rows: list[dict[str, str | int]] = []
    for number, one in enumerate(shown):
        events = simulate(one.image, seed + number)
        name = f"{number:05d}.bin"
        _write_events(folder / name, events, size)
        rows.append(
            {"path": name, "label": one.label, "split": split, "index": one.index, "target": number}
        )
        yield events
    write_images(folder / TARGETS, np.stack([one.image for one in shown]))
    write_manifest(folder, about, size, DIGITS, rows, TARGETS)


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"{folder} must be a folder that can be made; {error}") from error
    if any(folder.iterdir()):
        raise SinkError(f"recordings must go into an empty folder; {folder} is not. Name another")


def _write_events(path: Path, events: EventArray, size: SensorSize) -> None:
    writer = open_writer(path, size)
    try:
        end_us = int(events["t_us"][-1]) + 1 if len(events) else 0
        writer.write(EventPacket(events, end_us))
    finally:
        writer.close()
