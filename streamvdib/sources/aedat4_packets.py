"""Packets of AEDAT4: unpacked, and the flatbuffers of frames taken apart.

    FRME   table (timestamp, start and end of frame, start and end of exposure: i64; format i8;
           width, height, x, y: i16; pixels: vector of bytes)

A frame's format is OpenCV's number: depth in the lower three bits (0 is 8 bits, 2 is 16), above
them channels less one. Colours, in the order blue, green, red, are turned to grey. Its time is
the middle of the exposure, if that is stated. Schema: gitlab.com/inivation/dv/dv-processing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import lz4.frame
import numpy as np
import numpy.typing as npt

from streamvdib.errors import MissingExtraError
from streamvdib.events import TimedImage
from streamvdib.sources.aedat4_container import LZ4, NOT_PACKED
from streamvdib.sources.aedat4_kernels import MAX_PACKET_BYTES, PLAIN_BYTES
from streamvdib.sources.flatbuffer import root_table
from streamvdib.sources.lz4_kernel import Bytes, unpack_lz4

_LARGEST_LZ4_RATIO = 256
_SIZE_BYTES = 4  # before each flatbuffer
_TIME, _BEGIN, _END, _FORMAT, _WIDTH, _HEIGHT, _PIXELS = 0, 3, 4, 5, 6, 7, 10
_GREY_FROM_BGR = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601

Unpack = Callable[[Bytes, int, int], Bytes]
"""From an array, where a packet begins in it and its size, to what it holds until the next one."""


class PackedDataError(ValueError):
    """Packed data that cannot be unpacked."""


def unpacker(compression: int, name: str) -> Unpack:
    """What unpacks the packets of a file.

    Args:
        compression: as the header states it.
        name: of the recording, for messages.

    Raises:
        MissingExtraError: the file is packed with ZSTD, and Python has no module for that.
    """
    if compression == NOT_PACKED:
        return lambda data, at, size: data[at : at + size]
    if compression in LZ4:
        return _lz4_unpacker()
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    try:
        zstd: Any = importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{name}: AEDAT4 packed with ZSTD", extra="aedat4", missing=module
        ) from error

    def unpack_zstd(data: Bytes, at: int, size: int) -> Bytes:
        packed = data[at : at + size].tobytes()
        try:
            plain = bytearray(zstd.ZstdDecompressor().decompress(packed, MAX_PACKET_BYTES))
        except zstd.ZstdError as error:
            raise PackedDataError(f"ZSTD says: {error}") from error
        return np.frombuffer(plain, np.uint8)

    return unpack_zstd


def _lz4_unpacker() -> Unpack:
    """Compiled for what it knows; by the library for the rest, and for what is wrong with it."""
    plain = np.empty(PLAIN_BYTES, np.uint8)

    def unpack(data: Bytes, at: int, size: int) -> Bytes:
        n_bytes = unpack_lz4(data, at, at + size, plain)
        if n_bytes >= 0:
            return plain[:n_bytes]
        return np.frombuffer(_unpack_by_library(data[at : at + size].data), np.uint8)

    return unpack


def _unpack_by_library(data: memoryview) -> bytearray:
    try:
        if len(data) * _LARGEST_LZ4_RATIO <= MAX_PACKET_BYTES:
            unpacked: bytearray = lz4.frame.decompress(data, return_bytearray=True)
        else:
            decompressor = lz4.frame.LZ4FrameDecompressor(return_bytearray=True)
            unpacked = decompressor.decompress(data, MAX_PACKET_BYTES)
    except (RuntimeError, EOFError) as error:
        raise PackedDataError(f"LZ4 says: {error}") from error
    return unpacked


def image_of(data: Bytes) -> TimedImage | None:
    """The frame of an unpacked packet in grey; None if its pixels have neither 8 nor 16 bits.

    Raises:
        ValueError: it is no frame, or its pixels are not those of its size.
        struct.error: it ends too early.
    """
    frame = root_table(data.data, b"FRME", _SIZE_BYTES)
    kind = frame.integer(_FORMAT, "b")
    depth, n_channels = kind & 7, (kind >> 3) + 1
    width, height = frame.integer(_WIDTH, "h"), frame.integer(_HEIGHT, "h")
    if depth not in (0, 2) or n_channels not in (1, 3, 4):
        return None
    dtype = np.dtype("u1" if depth == 0 else "<u2")
    start, n_bytes = frame.vector(_PIXELS, 1)
    if min(width, height) < 1 or n_bytes != width * height * n_channels * dtype.itemsize:
        raise ValueError(f"its {n_bytes} bytes are not {width}x{height}x{n_channels} pixels")
    pixels = np.frombuffer(data, dtype, width * height * n_channels, start)
    begin_us, end_us = frame.integer(_BEGIN, "q"), frame.integer(_END, "q")
    t_us = (begin_us + end_us) // 2 if begin_us > 0 and end_us > 0 else frame.integer(_TIME, "q")
    return TimedImage(t_us, _grey(pixels.reshape(height, width, n_channels)))


def _grey(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if pixels.dtype.itemsize == 2:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.shape[2] == 1:
        return pixels[:, :, 0].copy()  # ``data`` may hold the next one soon
    grey: npt.NDArray[np.uint8] = np.rint(pixels[:, :, :3] @ _GREY_FROM_BGR).astype(np.uint8)
    return grey
