"""Coverage-guided fuzzing of the own binary parsers; needs the package atheris.

    python -m tests.fuzzing.fuzz_parsers -max_total_time=60 -max_len=4096 [NAME ...]

The first byte chooses the format (of those whose names are given, if any), the rest is the file,
of AEDAT4 also what one packet of events or frames holds. Whatever the bytes, a parser gives events
that keep the contract or raises one error of ours. Compiled decoders are not instrumented; run
with NUMBA_BOUNDSCHECK=1 to have each of their array accesses checked.
"""

from __future__ import annotations

import importlib
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from streamvdib.replay.writers.aedat4 import Encoder

from streamvdib.events import EventPacket, SensorSize, TimedImage
from tests.sources.written import BY_BYTES, some_events

FAMILIES = (
    "atis40",
    "aedat_legacy",
    "aedat31",
    "aedat4",
    "prophesee_raw",
    "prophesee_dat",
    "event_stream",
)
COMPILED = (
    "aedat4_kernels",
    "es_kernels",
    "evt_kernels",
    "kernels",
    "record_kernels",
    "text_kernel",
)


def instrumented_reader(atheris: Any) -> Callable[..., Any]:
    """``open_source`` with its modules instrumented, but for the compiled ones."""
    kept = {f"streamvdib.sources.{name}" for name in COMPILED}
    for name in kept:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.startswith("streamvdib.sources")]:
        if name not in kept:
            del sys.modules[name]
    with atheris.instrument_imports(include=["streamvdib.sources"]):
        opening = importlib.import_module("streamvdib.sources.opening")
        for name in [opening.FORMATS[family] for family in FAMILIES]:
            importlib.import_module(name)
        importlib.import_module("streamvdib.sources.aedat4_packets")
        return opening.open_source


class Fuzzed(NamedTuple):
    """A file is ``start``, the length if there is to be one, and the bytes that are tried."""

    name: str
    family: str
    start: bytes
    has_length: bool
    seed: bytes  # what a good file would have there

    def file(self, content: bytes) -> bytes:
        """The file with ``content`` in it."""
        length = struct.pack("<I", len(content)) if self.has_length else b""
        return self.start + length + content


def fuzzed_formats() -> list[Fuzzed]:
    """With a header, without, and the inside of AEDAT4's packets, not packed."""
    formats = []
    for name, one in BY_BYTES.items():
        if one.family in FAMILIES:
            header = one.write(some_events(one.size, n_events=0), one.size)
            whole = one.write(some_events(one.size, n_events=20), one.size)
            formats.append(Fuzzed(name, one.family, b"", False, whole))
            formats.append(Fuzzed(name, one.family, header, False, whole[len(header) :]))
    return formats + aedat4_formats()


def aedat4_formats() -> list[Fuzzed]:
    """A file of packets, and what is in a packet of events and in one of frames."""
    size = SensorSize(32, 24)
    encoder = Encoder(size)
    header = encoder.header()
    plain = header.replace(struct.pack("<iIq", 1, 12, -1), struct.pack("<iIq", 0, 12, -1))
    assert plain != header
    events = some_events(size, n_events=20)
    image = TimedImage(5, np.zeros((4, 5), np.uint8))
    packed = encoder.encode(EventPacket(events, 1 << 40, (image,)))
    import lz4.frame

    first_bytes = int.from_bytes(packed[4:8], "little")
    tables = [lz4.frame.decompress(part) for part in (packed[8:], packed[16 + first_bytes :])]
    formats = [Fuzzed("AEDAT4", "aedat4", header, False, packed)]
    for stream, table in enumerate(tables):
        start = plain + struct.pack("<I", stream)
        formats.append(Fuzzed("AEDAT4", "aedat4", start, True, table))
    return formats


def target(
    open_source: Callable[..., Any], path: Path, formats: list[Fuzzed]
) -> Callable[[bytes], None]:
    """What is called with each input."""
    from streamvdib.errors import StreamVdibError

    def one_input(data: bytes) -> None:
        if not data:
            return
        one = formats[data[0] % len(formats)]
        path.write_bytes(one.file(data[1:]))
        for lenient in (False, True):
            try:
                source = open_source(path, format=one.family, lenient=lenient)
                end_us = None
                for packet in source:
                    assert end_us is None or packet.end_us > end_us
                    assert (packet.events["t_us"] < packet.end_us).all()
                    assert (packet.events["x"] < source.sensor_size.width).all()
                    assert all(image.t_us < packet.end_us for image in packet.images)
                    end_us = packet.end_us
            except StreamVdibError:
                pass

    return one_input


def main() -> None:
    """Fuzz until told to stop."""
    atheris = importlib.import_module("atheris")
    wanted = [word for word in sys.argv[1:] if not word.startswith("-")]
    formats = [one for one in fuzzed_formats() if not wanted or one.name in wanted]
    if not formats:
        sys.exit(f"no format is called {' or '.join(wanted)}")
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder) / "seeds"
        seeds.mkdir()
        for index, one in enumerate(formats):
            (seeds / str(index)).write_bytes(bytes([index]) + one.seed)
        options = [word for word in sys.argv[1:] if word.startswith("-")]
        read = instrumented_reader(atheris)
        one_input = target(read, Path(folder) / "recording", formats)
        atheris.Setup([sys.argv[0], *options, str(seeds)], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
