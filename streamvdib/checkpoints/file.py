"""One checkpoint as the bytes of one safetensors file, and back.

    8 bytes: length of the header   header: JSON, tensors and "__metadata__"   tensors

The metadata holds the format's version, the plain part of the state as JSON, and a SHA-256 over
both parts. Reading checks length, version, digest, shapes and that all numbers are finite, before
anything is believed. Nothing in a file is ever executed.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from streamvdib.checkpoints.fingerprint import fingerprint
from streamvdib.checkpoints.position import Position
from streamvdib.disk import Disk, RealDisk
from streamvdib.engine_state import EngineState
from streamvdib.errors import CheckpointError
from streamvdib.model import tensors_digest

CHECKPOINT_FORMAT = 1
MAX_HEADER_BYTES = 16 << 20
_ANOTHER = "Use an earlier generation (--resume --fall-back)."


@dataclass(frozen=True)
class Checkpoint:
    """A state of an engine, and where in its input it was taken."""

    state: EngineState
    position: Position
    generation: int
    fingerprint: Mapping[str, str]  # of the process that wrote it
    extra: Mapping[str, Any]  # what the writer added: plain values


def encode(
    state: EngineState,
    generation: int,
    position: Position | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """The bytes of a checkpoint file.

    Raises:
        CheckpointError: a number is not finite: such a state would be of no use to anyone.
    """
    _check_finite(state.tensors, "the state")
    tensors = dict(state.tensors)
    body = json.dumps(
        {
            "generation": generation,
            "about": dict(state.about),
            "position": asdict(position or Position()),
            "fingerprint": fingerprint(),
            "extra": dict(extra or {}),
        },
        allow_nan=False,
    )
    metadata = {
        "streamvdib_checkpoint": str(CHECKPOINT_FORMAT),
        "body": body,
        "sha256": _digest(body, tensors),
    }
    return save(tensors, metadata)


def decode(data: bytes, name: str) -> Checkpoint:
    """Read the bytes of a checkpoint file.

    Args:
        data: all of the file.
        name: of the file, for messages.

    Raises:
        CheckpointError: the file is not whole, not of this version, or not what was written.
    """
    metadata = _metadata(data, name)
    _check_version(metadata.get("streamvdib_checkpoint"), name)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{name} must be a whole safetensors file; {error}") from error
    body = metadata.get("body", "")
    if metadata.get("sha256") != _digest(body, tensors):
        raise CheckpointError(
            f"{name} is damaged: its content does not match its digest. {_ANOTHER}"
        )
    _check_finite(tensors, name)
    return _assembled(body, tensors, name)


def load_checkpoint(path: Path, disk: Disk | None = None) -> Checkpoint:
    """Read one file, whole or not at all.

    Raises:
        CheckpointError: it cannot be read, or must not be believed; the message says why.
    """
    try:
        data = (disk or RealDisk()).read(path)
    except OSError as error:
        why = "it is a link" if error.errno == errno.ELOOP else error.strerror or error
        raise CheckpointError(f"{path} must be a regular file that can be read; {why}") from error
    return decode(data, str(path))


def _metadata(data: bytes, name: str) -> Mapping[str, str]:
    """The header's metadata, with its length checked before anything is allocated."""
    n_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or n_bytes > min(len(data) - 8, MAX_HEADER_BYTES):
        raise CheckpointError(
            f"{name} must be a whole checkpoint; it has {len(data)} bytes and says that its header "
            f"takes {n_bytes}. It was cut off, or is no checkpoint. {_ANOTHER}"
        )
    try:
        header = json.loads(data[8 : 8 + n_bytes])
        metadata = header["__metadata__"]
        if not all(isinstance(value, str) for value in metadata.values()):
            raise TypeError("its metadata is not text")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{name} must have the header of a checkpoint; {error!r}") from error
    return metadata  # type: ignore[no-any-return]


def _assembled(body: str, tensors: Mapping[str, Tensor], name: str) -> Checkpoint:
    try:
        values = json.loads(body)
        return Checkpoint(
            EngineState(tensors, dict(values["about"])),
            Position(**values["position"]),
            int(values["generation"]),
            dict(values["fingerprint"]),
            dict(values["extra"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{name} must hold a state's plain part; {error!r}") from error


def _check_version(version: str | None, name: str) -> None:
    if version == str(CHECKPOINT_FORMAT):
        return
    if version is None or not version.isascii() or not version.isdigit():
        raise CheckpointError(
            f"{name} must be a checkpoint of streamvdib; it does not say so. "
            "Is it a model file? Models are given with --model."
        )
    if int(version) > CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{name} has checkpoint format {version}, and this streamvdib reads format "
            f"{CHECKPOINT_FORMAT}: a newer streamvdib wrote it. Upgrade, or use an earlier one."
        )
    raise CheckpointError(
        f"{name} has checkpoint format {version}, which no release of streamvdib wrote."
    )


def _check_finite(tensors: Mapping[str, Tensor], name: str) -> None:
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{name}: {key} must be finite; it holds nan or inf. {_ANOTHER}")


def _digest(body: str, tensors: Mapping[str, Tensor]) -> str:
    text = f"{CHECKPOINT_FORMAT}\n{body}\n{tensors_digest(tensors)}"
    return hashlib.sha256(text.encode()).hexdigest()
