"""Checksums of what an engine gave out, step by step and frame by frame."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from streamvdib.engine import Frame

_STEPS = struct.Struct("<q")
_FRAME = struct.Struct("<qI")


def step_checksums(spikes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """CRC-32 of the readout spikes of every step.

    Args:
        spikes: 0 or 1, (n_steps, n_lanes, n_neurons).
    """
    packed = np.packbits(spikes.reshape(len(spikes), -1), axis=1)
    return np.array([zlib.crc32(row) for row in packed], dtype="<u4")


def steps_bytes(first_step: int, checksums: npt.NDArray[np.uint32]) -> bytes:
    """Checksums of consecutive steps as a payload."""
    return _STEPS.pack(first_step) + checksums.astype("<u4").tobytes()


def steps_from(payload: bytes) -> tuple[int, npt.NDArray[np.uint32]]:
    """First step and checksums of a payload."""
    (first_step,) = _STEPS.unpack_from(payload)
    return first_step, np.frombuffer(payload, "<u4", offset=_STEPS.size)


def frame_bytes(frame: Frame) -> bytes:
    """Step and checksum of a frame as a payload."""
    return _FRAME.pack(frame.step, frame_checksum(frame))


def frame_from(payload: bytes) -> tuple[int, int]:
    """Step and checksum of a payload."""
    step, checksum = _FRAME.unpack(payload)
    return step, checksum


def frame_checksum(frame: Frame) -> int:
    """CRC-32 of times and pixels."""
    head = struct.pack("<qqq", frame.step, frame.start_us, frame.end_us)
    return zlib.crc32(frame.pixels.tobytes(), zlib.crc32(head))
