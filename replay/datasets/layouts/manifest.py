"""A folder with dataset.toml and recordings.csv: how streamvdib writes data sets itself.

    dataset.toml     name, licence, source, how_to_get, width, height, classes,
                     n_recordings, digest, and perhaps targets (a file)
    recordings.csv   path, label, split, and perhaps index, target, start_us, end_us

``target`` counts the images of the targets file, IDX like MNIST's. The digest is SHA-256 over
"<SHA-256 of the file>  <path>" lines in the order of recordings.csv.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize

from ..dataset import SPLITS, About, DataSet, Recording
from ..idx import read_images

MANIFEST = "dataset.toml"
LIST = "recordings.csv"
Keys = Mapping[str, object]


def recognises(root: Path) -> bool:
    """The manifest is there."""
    return (root / MANIFEST).is_file()


def open_layout(root: Path, images: Path | None) -> DataSet:
    """All recordings in the order of recordings.csv."""
    del images
    keys = read_keys(root)
    about = About(*(_text(root, keys, key) for key in ("name", "licence", "source", "how_to_get")))
    size = SensorSize(_whole(root, keys, "width"), _whole(root, keys, "height"))
    classes = keys.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise RecordingError(
            f"classes in {root / MANIFEST} must be a list of names; got {classes!r}"
        )
    targets = read_images(root / _text(root, keys, "targets")) if "targets" in keys else None
    recordings = [
        _recording(root, number, row, size, len(classes), targets)
        for number, row in enumerate(_rows(root), start=2)
    ]
    if len(recordings) != _whole(root, keys, "n_recordings"):
        raise RecordingError(
            f"{root / LIST} must list the {keys['n_recordings']} recordings that {MANIFEST} "
            f"counts; it lists {len(recordings)}. Write the manifest again, or get the set again"
        )
    return DataSet(about, "manifest", root, size, tuple(classes), recordings)


def read_keys(root: Path) -> Keys:
    """What dataset.toml says."""
    path = root / MANIFEST
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecordingError(f"{path} must be a readable TOML file; {error}") from error


def digest_of(files: list[Path], root: Path) -> str:
    """The digest of recordings in their order, hexadecimal."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            each = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{each}  {path.relative_to(root).as_posix()}\n".encode())
    return total.hexdigest()


def write_manifest(
    root: Path, about: About, size: SensorSize, classes: tuple[str, ...],
    rows: list[dict[str, str | int]], targets: str | None = None,
) -> None:  # fmt: skip
    """Write dataset.toml and recordings.csv for recordings that are already in ``root``.

    Args:
        root: the folder.
        about: where the set comes from.
        size: of the sensor.
        classes: their names.
        rows: one per recording, all with the same columns, among them path, label and split.
        targets: name of the IDX file of target images, if there is one.
    """
    with (root / LIST).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = [
        f"{key} = {_quoted(value)}"
        for key, value in (
            ("name", about.name), ("licence", about.licence), ("source", about.source),
            ("how_to_get", about.how_to_get),
        )
    ]  # fmt: skip
    lines += [f"width = {size.width}", f"height = {size.height}"]
    lines.append(f"classes = [{', '.join(_quoted(name) for name in classes)}]")
    lines.append(f"n_recordings = {len(rows)}")
    lines.append(f'digest = "{digest_of([root / str(row["path"]) for row in rows], root)}"')
    if targets is not None:
        lines.append(f"targets = {_quoted(targets)}")
    (root / MANIFEST).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'


def _text(root: Path, keys: Keys, key: str) -> str:
    value = keys.get(key)
    if not isinstance(value, str):
        raise RecordingError(f"{key} in {root / MANIFEST} must be text; got {value!r}")
    return value


def _whole(root: Path, keys: Keys, key: str) -> int:
    value = keys.get(key)
    if not isinstance(value, int) or value < 0:
        raise RecordingError(f"{key} in {root / MANIFEST} must be a whole number; got {value!r}")
    return value


def _rows(root: Path) -> list[dict[str, str]]:
    try:
        with (root / LIST).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(f"{root / LIST} must be readable; {error}") from error


def _recording(
    root: Path, number: int, row: dict[str, str], size: SensorSize, n_classes: int,
    targets: npt.NDArray[np.uint8] | None,
) -> Recording:  # fmt: skip
    where = f"line {number} of {root / LIST}"
    path = root / row.get("path", "")
    if not path.resolve().is_relative_to(root.resolve()) or not path.is_file():
        raise RecordingError(
            f"path must name a file in the folder; {where} has {row.get('path')!r}"
        )
    label = _number(row, "label", where, n_classes)
    split = row.get("split", "")
    if split not in SPLITS:
        raise RecordingError(f"split must be one of {', '.join(SPLITS)}; {where} has {split!r}")
    target = None
    if targets is not None and row.get("target"):
        target = targets[_number(row, "target", where, len(targets))]
    index = _number(row, "index", where, None) if row.get("index") else number - 2
    start, end = (
        _number(row, key, where, None) if row.get(key) else None for key in ("start_us", "end_us")
    )
    return Recording(path, label, target, split, size, index, start, end)


def _number(row: dict[str, str], key: str, where: str, below: int | None) -> int:
    text = row.get(key, "")
    if not text.isdigit() or (below is not None and int(text) >= below):
        limit = "" if below is None else f" below {below}"
        raise RecordingError(f"{key} must be a whole number{limit}; {where} has {text!r}")
    return int(text)
