"""Prophesee RAW: a text header, then EVT2, EVT2.1 or EVT3 words.

Times are those of the sensor, as recorded; Metavision's own tools, and DAT files that they
write, count from the first TIME_HIGH word instead. A header without geometry gives the size by
the camera's plugin (Gen3: 640x480), else it is the smallest known on which the first events fit.
A header that names no encoding leaves it to the first words.

Halves of EVT2.1 words come in two orders: the header's ``endianness`` says which (``legacy`` is
that of the IMX636), or the option of that name, or the first words are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources.evt_decoder import ENCODINGS, EvtDecoder, halves_are_swapped
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.policy import Block
from streamvdib.sources.prophesee_header import PropheseeHeader, read_header
from streamvdib.sources.reading import ByteStream, open_stream, read_records
from streamvdib.sources.recording import Recording
from streamvdib.sources.sensor_sizes import smallest_known

CHUNK_BYTES = 1 << 18
_EVT3_KINDS = (0, 2, 3, 4, 5, 6, 7, 8, 0xA, 0xE, 0xF)
_NEARLY_ALL = 0.999
_TITLES = {"evt2": "EVT2", "evt21": "EVT2.1", "evt3": "EVT3"}


def recognises(head: bytes, path: Path) -> bool:
    """Whether a header of Prophesee names an encoding."""
    del path
    if not head.startswith(b"%"):
        return False
    names = b"\n% evt " in b"\n" + head or b"% format EVT" in head
    return names or (b"% plugin_name" in head or b"% system_ID" in head)


def open_recording(path: Path, options: ReadOptions) -> Recording:
    """Open a RAW file.

    Options: ``encoding`` ("evt2", "evt21", "evt3"), ``endianness`` ("little", "legacy").
    """
    options.only("encoding", "endianness")
    with open_stream(path, lenient=True) as stream:
        header = read_header(stream)
        first = stream.read(CHUNK_BYTES)
    encoding = str(options.format_options.get("encoding", header.encoding or _encoding_of(first)))
    if encoding not in ENCODINGS:
        raise RecordingError(
            f"{path}: the encoding must be one of {', '.join(ENCODINGS)}; the header says "
            f"{encoding or 'nothing'!r}. Give it with encoding=..."
        )
    swapped = encoding == "evt21" and _is_swapped(path, header, options, first)
    size = options.sensor_size or header.sensor_size or _infer_size(first, encoding, swapped, path)

    def read_blocks(counters: dict[str, int]) -> Iterator[Block]:
        decoder = EvtDecoder(encoding, counters, swapped=swapped)
        return _read_blocks(path, decoder, options, counters)

    return Recording(path, f"Prophesee {_TITLES[encoding]}", size, read_blocks, options)


def _encoding_of(first: bytes) -> str:
    """EVT2 or EVT3, by which of them the first words are nearly all of; "" if of neither.

    Of random words, six in sixteen have a type of EVT2's and eleven one of EVT3's.
    """
    for encoding, kinds in (("evt2", (0, 1, 8, 0xA, 0xE, 0xF)), ("evt3", _EVT3_KINDS)):
        word = np.dtype(ENCODINGS[encoding].word)
        words = np.frombuffer(first, word, len(first) // word.itemsize)
        found = np.isin(words >> (8 * word.itemsize - 4), kinds)
        if len(words) and found.mean() > _NEARLY_ALL:
            return encoding
    return ""


def _infer_size(first: bytes, encoding: str, swapped: bool, path: Path) -> SensorSize:
    """The smallest known sensor on which the first events fit."""
    decoder = EvtDecoder(encoding, {}, swapped=swapped)
    width = height = 1
    for block in decoder.decode(first[: len(first) // decoder.word_bytes * decoder.word_bytes]):
        width = max(width, int(block.events["x"].max(initial=0)) + 1)
        height = max(height, int(block.events["y"].max(initial=0)) + 1)
    return smallest_known(width, height, str(path))


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
