"""Event Stream (.es) version 2, types dvs and atis.

    "Event Stream", version (3 bytes), type (1 byte), width u16, height u16, events

Of an atis recording the threshold crossings are read, exposure measurements are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import RecordingError, TruncatedRecordingError
from streamvdib.events import EVENT_DTYPE, SensorSize, empty_events
from streamvdib.sources.es_kernels import (
    ATIS,
    DVS,
    EVENT_BYTES,
    EXPOSURES,
    RESETS,
    STATE_FIELDS,
    decode_es,
)
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block, Locator
from streamvdib.sources.reading import CHUNK_BYTES, REMEDY, count, open_stream, truncated
from streamvdib.sources.recording import Recording

MAGIC = b"Event Stream"
HEADER_BYTES = 20
_TYPES = {DVS: "dvs", ATIS: "atis"}
_OTHER_TYPES = {0: "generic", 3: "display", 4: "color"}


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file says that it is an Event Stream."""
    del path
    return head.startswith(MAGIC)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open an Event Stream file."""
    options.only()
    with open_stream(path, lenient=True) as stream:
        header = stream.read(HEADER_BYTES)
    kind, size = read_header(header, str(path))

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        return _read_blocks(path, kind, size, options, counters)

    name = f"Event Stream ({_TYPES[kind]})"
    return Recording(path, name, options.sensor_size or size, read_blocks, options)


def read_header(header: bytes, name: str) -> tuple[int, SensorSize]:
    """The type and the sensor's size that the first ``HEADER_BYTES`` bytes state.

    Raises:
        RecordingError: another version or type.
    """
    if len(header) < HEADER_BYTES:
        raise TruncatedRecordingError(
            f"{name}: an Event Stream begins with {HEADER_BYTES} bytes of header; got "
            f"{len(header)}. {REMEDY}."
        )
    major, kind = header[12], header[15]
    if major != 2 or kind not in _TYPES:
        kind_name = _TYPES.get(kind) or _OTHER_TYPES.get(kind, str(kind))
        raise RecordingError(
            f"{name}, byte 12: an Event Stream must be of version 2 and type dvs or atis; got "
            f"version {major}, type {kind_name}. Convert it."
        )
    width, height = (int.from_bytes(header[at : at + 2], "little") for at in (16, 18))
    if width == 0 or height == 0:
        raise RecordingError(
            f"{name}, byte 16: the sensor must have pixels; got {width}x{height}. {REMEDY}."
        )
    return kind, SensorSize(width, height)


class EsDecoder:
    """Bytes to events; remembers the time between chunks.

    Args:
        kind: DVS or ATIS.
        height: rows of the sensor, as the header states it.
        counters: ``exposures`` and ``resets`` are raised.
    """

    def __init__(self, kind: int, height: int, counters: dict[str, int]) -> None:
        self._kind = kind
        self._height = height
        self._counters = counters
        self._state = np.zeros(STATE_FIELDS, dtype=np.int64)

    def decode(self, data: bytes, offset: int = 0) -> tuple[Block, int]:
        """The events of a chunk.

        Args:
            data: begins where an event begins.
            offset: where that is in the recording.

        Returns:
            The events, and how many bytes they took; the rest is an incomplete event.
        """
        raw = np.frombuffer(data, np.uint8)
        before = self._state.copy()
        n_most = len(raw) // EVENT_BYTES + 1
        events = np.empty(n_most, dtype=EVENT_DTYPE)
        n_events, end = decode_es(raw, 0, self._kind, self._height, self._state, events, n_most)
        count(self._counters, "exposures", int(self._state[EXPOSURES] - before[EXPOSURES]))
        count(self._counters, "resets", int(self._state[RESETS] - before[RESETS]))
        return Block(events[:n_events], self._locator(raw, before, offset)), int(end)

    def _locator(
        self, raw: npt.NDArray[np.uint8], state: npt.NDArray[np.int64], offset: int
    ) -> Locator:
        """Decodes once more, up to the event that is asked for."""

        def locate(index: int) -> str:
            limit = index + 1
            events = empty_events(limit)
            _, end = decode_es(raw, 0, self._kind, self._height, state.copy(), events, limit)
            return f"byte {offset + int(end) - EVENT_BYTES}"

        return locate


def _read_blocks(
    path: Path, kind: int, size: SensorSize, options: ReadOptions, counters: dict[str, int]
) -> Iterator[Block]:
    decoder = EsDecoder(kind, size.height, counters)
    with open_stream(path, lenient=options.lenient) as stream:
        stream.read(HEADER_BYTES)
        while data := stream.read(CHUNK_BYTES):
            block, n_used = decoder.decode(data, stream.offset - len(data))
            yield block
            rest = data[n_used:]
            if rest and len(data) < CHUNK_BYTES:
                at = stream.offset - len(rest)
                truncated(
                    stream.name, at, len(rest), EVENT_BYTES, counters, lenient=options.lenient
                )
                return
            stream.push_back(rest)
