"""Finds out which layout a folder has, and opens it as a data set."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from streamvdib.errors import ConfigurationError, RecordingError, UnknownFormatError

from .dataset import DataSet

LAYOUTS: dict[str, str] = {
    "manifest": ".layouts.manifest",
    "nmnist": ".layouts.nmnist",
    "mnist-dvs": ".layouts.mnist_dvs",
    "n-caltech101": ".layouts.ncaltech101",
    "dvs-gesture": ".layouts.dvs_gesture",
    "poker-dvs": ".layouts.poker_dvs",
}
"""Layout -> module with ``ABOUT``, ``recognises`` and ``open_layout``; asked in this order."""


def open_dataset(
    path: str | Path, *, layout: str | None = None, images: str | Path | None = None
) -> DataSet:
    """Open a folder of recordings.

    Args:
        path: the folder as it unpacks.
        layout: a key of ``LAYOUTS``, instead of recognition.
        images: folder with the IDX files of the images that were shown (MNIST for N-MNIST).
            Without it a folder ``mnist`` in or beside ``path`` is used, if there is one.

    Raises:
        RecordingError: there is no such folder, or it does not hold what its layout promises.
        UnknownFormatError: no layout recognises it.
    """
    root = Path(path)
    if not root.is_dir():
        raise RecordingError(f"a data set must be a folder; {root} is none")
    name = recognise(root) if layout is None else layout
    data_set: DataSet = layout_module(name).open_layout(root, _images_folder(root, images))
    return data_set


def recognise(root: Path) -> str:
    """The layout of a folder, a key of ``LAYOUTS``."""
    for name in LAYOUTS:
        if layout_module(name).recognises(root):
            return name
    raise UnknownFormatError(
        f"a data set's folder must have one of the layouts {', '.join(LAYOUTS)}; {root} has none. "
        "Put a dataset.toml and a recordings.csv beside the recordings (docs/datasets.md)"
    )


def layout_module(name: str) -> ModuleType:
    """The module of a layout."""
    if name not in LAYOUTS:
        raise ConfigurationError(f"a layout must be one of {', '.join(LAYOUTS)}; got {name!r}")
    return importlib.import_module(LAYOUTS[name], __package__)


def _images_folder(root: Path, images: str | Path | None) -> Path | None:
    if images is not None:
        return Path(images)
    beside = (root / "mnist", root.parent / "mnist", root.parent.parent / "mnist")
    return next((folder for folder in beside if folder.is_dir()), None)
