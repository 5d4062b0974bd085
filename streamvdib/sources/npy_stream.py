"""Reads the array of a .npy file from front to back, in pieces.

Memory: one piece. Nothing pickled is ever loaded.
"""

from __future__ import annotations

import io
from collections.abc import MutableMapping
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError
from streamvdib.sources.reading import REMEDY, ByteStream, count, truncated

_PREFIX_BYTES = 8
_MAX_HEADER_BYTES = 1 << 16
_MAX_ITEM_BYTES = 1 << 10


class NpyStream:
    """One array, of shape (n_items,) or (n_items, n_columns).

    Args:
        stream: at the beginning of the .npy data.

    Raises:
        RecordingError: the header cannot be meant, or the array has another shape.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.name = stream.name
        self._stream = stream
        shape, fortran_order, self.dtype = _read_header(stream)
        shape = shape or (1,)
        if len(shape) not in (1, 2) or (len(shape) == 2 and fortran_order and shape[0] > 1):
            raise RecordingError(
                f"{stream.name}: an array of events must have one or two dimensions, in C order; "
                f"got shape {shape}{', Fortran order' if fortran_order else ''}. Save it again "
                "after numpy.ascontiguousarray."
            )
        if self.dtype.hasobject or self.dtype.itemsize == 0:
            raise RecordingError(
                f"{stream.name}: an array of events must hold numbers; it holds {self.dtype}. "
                "Save it again as numbers."
            )
        self.shape = shape
        self.data_at = stream.offset
        self.item_bytes = self.dtype.itemsize * (shape[1] if len(shape) == 2 else 1)
        if self.item_bytes > _MAX_ITEM_BYTES:
            raise RecordingError(
                f"{stream.name}: an event must have at most {_MAX_ITEM_BYTES} bytes; the header "
                f"says {self.item_bytes}. {REMEDY}."
            )
        self._n_left = shape[0] if self.item_bytes else 0

    def read(
        self, n_items: int, counters: MutableMapping[str, int], *, lenient: bool
    ) -> npt.NDArray[Any]:
        """The next items; fewer only at the end.

        Args:
            n_items: how many at most.
            counters: ``truncated_bytes`` is raised when ``lenient``.
            lenient: an array that was cut off ends early.
        """
        if self._n_left == 0:
            self._n_left = self._unpromised(n_items, counters, lenient=lenient)
        n_items = min(n_items, self._n_left)
        at = self._stream.offset
        data = self._stream.read(n_items * self.item_bytes)
        n_whole = len(data) // self.item_bytes if self.item_bytes else 0
        if 0 < n_whole < n_items and not lenient:  # those first, the error with the next call
            self._stream.push_back(data[n_whole * self.item_bytes :])
        elif n_whole < n_items:
            excess = len(data) - n_whole * self.item_bytes
            end = at + n_whole * self.item_bytes
            truncated(self.name, end, excess, self.item_bytes, counters, lenient=lenient)
            self._n_left = n_whole
        self._n_left -= n_whole
        n_values = n_whole * self.item_bytes // self.dtype.itemsize
        return np.frombuffer(data, self.dtype, n_values).reshape((n_whole, *self.shape[1:]))

    def _unpromised(
        self, n_items: int, counters: MutableMapping[str, int], *, lenient: bool
    ) -> int:
        """How many items follow those that the header promises, as after an interrupted save."""
        data = self._stream.read(n_items * self.item_bytes)
        self._stream.push_back(data)
        if data and not lenient:
            raise RecordingError(
                f"{self.name}, byte {self._stream.offset}: the array must end after the "
                f"{self.shape[0]} items that its header promises; more bytes follow. It was not "
                "closed: read it with lenient=True (--lenient), which takes and counts them."
            )
        n_items = len(data) // self.item_bytes if data else 0
        count(counters, "unpromised_items", n_items)
        return n_items


def _read_header(stream: ByteStream) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type."""
    prefix = stream.read(_PREFIX_BYTES)
    length_bytes = 2 if prefix[6:7] == b"\x01" else 4
    length = stream.read(length_bytes)
    n_bytes = int.from_bytes(length, "little")
    header = stream.read(min(n_bytes, _MAX_HEADER_BYTES))
    file = io.BytesIO(prefix + length + header)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(file)
        return np.lib.format.read_array_header_2_0(file)
    except Exception as error:  # the header is Python source: its parser raises what it likes
        raise RecordingError(
            f"{stream.name}, byte 0: the header of a .npy array must be whole; {error}. {REMEDY}."
        ) from error
