"""WAV files and raw samples, read from front to back, also from a pipe.

    "RIFF" size "WAVE" { chunk id, size, data }    "fmt ": format, channels, rate, bits
    "data": samples, little-endian, channels interleaved

PCM of 8 (unsigned), 16, 24 or 32 bits and 32-bit floats. Channels are averaged. A data chunk of
size 0 or 2^32 - 1 (a recorder that writes to a pipe) ends with the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError, TruncatedRecordingError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
UNKNOWN_SIZES = (0, 0xFFFFFFFF)
MAX_HEADER_CHUNK_BYTES = 1 << 24
CONVERT = "Convert it with: ffmpeg -i IN -ac 1 -c:a pcm_s16le OUT.wav"

Samples = npt.NDArray[np.float32]


class WavReader:
    """Samples of a WAV stream in [-1, 1]. Memory: one block.

    Args:
        stream: at the first byte of the file.
        name: for messages.

    Raises:
        RecordingError: not a WAV file, or of a kind that is not read.
        TruncatedRecordingError: it ends in its header.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self.name = stream, name
        first = read_fully(stream, 12)
        self._offset = len(first)
        if first[:4] != b"RIFF" or first[8:] != b"WAVE":
            raise RecordingError(
                f"{name}: a sound must begin with RIFF....WAVE; it begins with {first!r}. {CONVERT}"
            )
        self._n_left: int | None = None  # bytes of samples; None: until the stream ends
        self._read_header()

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return int(self.n_channels * self.bits // 8)

    @property
    def n_missing(self) -> int:
        """Bytes of samples that the header promises and that were not read so far."""
        return self._n_left or 0

    @property
    def offset(self) -> int:
        """The next byte of the file."""
        return self._offset

    def blocks(self, n_samples: int) -> Iterator[Samples]:
        """Blocks of ``n_samples``, the last one shorter; channels averaged, (n,).

        Fewer than the header promises where the stream ends before: see ``n_missing``.
        """
        while True:
            wanted = n_samples * self.frame_bytes
            if self._n_left is not None:
                wanted = min(wanted, self._n_left)
            data = read_fully(self._stream, wanted)
            self._offset += len(data)
            whole = len(data) // self.frame_bytes * self.frame_bytes
            if self._n_left is not None:
                self._n_left -= len(data)
            if whole:
                yield samples_of(data[:whole], self.kind, self.bits, self.n_channels)
            if len(data) < n_samples * self.frame_bytes:
                return

    def _exactly(self, n_bytes: int) -> bytes:
        data = read_fully(self._stream, n_bytes)
        self._offset += len(data)
        if len(data) < n_bytes:
            raise TruncatedRecordingError(
                f"{self.name}: a WAV file must have samples; it ends in its header at byte "
                f"{self._offset}. {CONVERT}"
            )
        return data

    def _read_header(self) -> None:
        layout: bytes | None = None
        while True:
            kind, size = struct.unpack("<4sI", self._exactly(8))
            if kind == b"data":
                break
            if size > MAX_HEADER_CHUNK_BYTES:
                raise RecordingError(
                    f"{self.name}: a chunk before the samples must be small; {kind!r} at byte "
                    f"{self._offset - 8} has {size} bytes. {CONVERT}"
                )
            content = self._exactly(size + size % 2)
            layout = content if kind == b"fmt " else layout
        if layout is None or len(layout) < 16:
            raise RecordingError(f"{self.name}: a WAV file must say its format; none came.")
        self._n_left = None if size in UNKNOWN_SIZES else size
        self._read_layout(layout)

    def _read_layout(self, layout: bytes) -> None:
        kind, self.n_channels, self.rate_hz, _, _, self.bits = struct.unpack("<HHIIHH", layout[:16])
        if kind == EXTENSIBLE and len(layout) >= 26:
            (kind,) = struct.unpack("<H", layout[24:26])
        self.kind = kind
        if (kind, self.bits) not in [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32)]:
            raise RecordingError(
                f"{self.name}: samples must be PCM of 8, 16, 24 or 32 bits or 32-bit floats; got "
                f"format {kind} of {self.bits} bits. {CONVERT}"
            )
        if self.n_channels < 1 or self.rate_hz < 1:
            raise RecordingError(
                f"{self.name}: a sound must have channels and a rate; got {self.n_channels} "
                f"channels at {self.rate_hz} Hz"
            )


def samples_of(data: bytes, kind: int, bits: int, n_channels: int) -> Samples:
    """Bytes of whole samples as numbers in [-1, 1], channels averaged, (n,)."""
    if kind == FLOAT:
        values = np.frombuffer(data, dtype="<f4").astype(np.float64)
    elif bits == 8:
        values = (np.frombuffer(data, dtype=np.uint8).astype(np.float64) - 128.0) / 128.0
    elif bits == 24:
        parts = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3).astype(np.int32)
        joined = (parts[:, 0] << 8) | (parts[:, 1] << 16) | (parts[:, 2] << 24)
        values = joined.astype(np.float64) / 2.0**31
    else:
        values = np.frombuffer(data, dtype=f"<i{bits // 8}").astype(np.float64)
        values /= 2.0 ** (bits - 1)
    if not np.isfinite(values).all():
        values = np.nan_to_num(values, posinf=1.0, neginf=-1.0)
    return np.asarray(values.reshape(-1, n_channels).mean(1), dtype=np.float32)


def read_fully(stream: BinaryIO, n_bytes: int) -> bytes:
    """``n_bytes`` bytes; fewer only at the end of the stream."""
    data = b""
    while len(data) < n_bytes:
        part = stream.read(n_bytes - len(data))
        if not part:
            break
        data += part
    return data


def read_wav(stream: BinaryIO, name: str) -> tuple[int, Samples]:
    """The rate in Hz and all samples of a WAV file, (n,)."""
    reader = WavReader(stream, name)
    blocks = list(reader.blocks(1 << 16))
    return reader.rate_hz, np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
