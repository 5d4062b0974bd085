"""Prophesee RAW: a text header, then EVT2, EVT2.1 or EVT3 words.

Times are those of the sensor, as recorded; Metavision's own tools, and DAT files that they
write, count from the first TIME_HIGH word instead. A header without geometry gives the size by
the camera's plugin (Gen3: 640x480).

Halves of EVT2.1 words come in two orders: the header's ``endianness`` says which (``legacy`` is
that of the IMX636), or the option of that name, or the first words are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.sources.evt_decoder import ENCODINGS, EvtDecoder, halves_are_swapped
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.prophesee_header import PropheseeHeader, read_header
from streamvdib.sources.reading import ByteStream, open_stream, read_records
from streamvdib.sources.recording import Recording

CHUNK_BYTES = 1 << 18
_TITLES = {"evt2": "EVT2", "evt21": "EVT2.1", "evt3": "EVT3"}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a header of Prophesee names an encoding."""
    del path
    return head.startswith(b"%") and (b"\n% evt " in b"\n" + head or b"% format EVT" in head)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a RAW file.

    Options: ``encoding`` ("evt2", "evt21", "evt3"), ``endianness`` ("little", "legacy").
    """
    options.only("encoding", "endianness")
    with open_stream(path, lenient=True) as stream:
        header = read_header(stream)
        first = stream.read(CHUNK_BYTES)
    encoding = str(options.format_options.get("encoding", header.encoding))
    if encoding not in ENCODINGS:
        raise RecordingError(
            f"{path}: the encoding must be one of {', '.join(ENCODINGS)}; the header says "
            f"{encoding or 'nothing'!r}. Give it with encoding=..."
        )
    size = options.sensor_size or header.sensor_size
    if size is None:
        raise RecordingError(
            f"{path}: the header must state the sensor's size; it does not. Give it with "
            "sensor_size (--sensor-size)."
        )
    swapped = encoding == "evt21" and _is_swapped(path, header, options, first)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        decoder = EvtDecoder(encoding, counters, swapped=swapped)
        return _read_blocks(path, decoder, options, counters)

    return Recording(path, f"Prophesee {_TITLES[encoding]}", size, read_blocks, options)


def _is_swapped(path: Path, header: PropheseeHeader, options: ReadOptions, first: bytes) -> bool:
    order = options.format_options.get("endianness", header.format_fields.get("endianness"))
    if order is None:
        return halves_are_swapped(first[: len(first) // 8 * 8])
    if order not in ("little", "legacy"):
        raise ConfigurationError(
            f"{path}: endianness must be little or legacy; got {order!r}. Give it with "
            "endianness=..."
        )
    return order == "legacy"


def _read_blocks(
    path: Path, decoder: EvtDecoder, options: ReadOptions, counters: dict[str, int]
) -> Iterator[Block]:
    with open_stream(path, lenient=options.lenient) as stream:
        read_header(stream)
        yield from decode_stream(stream, decoder, counters, lenient=options.lenient)


def decode_stream(
    stream: ByteStream, decoder: EvtDecoder, counters: dict[str, int], *, lenient: bool
) -> Iterator[Block]:
    """Decode the rest of a stream.

    Args:
        stream: after its header.
        decoder: of the stream's encoding.
        counters: ``truncated_bytes`` is raised when ``lenient``.
        lenient: drop and count the bytes of an incomplete last word.
    """
    chunks = read_records(
        stream, decoder.word_bytes, counters, lenient=lenient, chunk_bytes=CHUNK_BYTES
    )
    for offset, data in chunks:
        yield from decoder.decode(data, offset)
