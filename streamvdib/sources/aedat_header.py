"""The text at the beginning of AEDAT 1.0, 2.0 and 3.1 files: lines that begin with ``#``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources.reading import REMEDY, ByteStream
from streamvdib.sources.sensor_sizes import DAVIS240, DAVIS346, DAVIS640, DVS128

MAX_LINE_BYTES = 1 << 16
MAX_HEADER_BYTES = 1 << 24  # jAER writes all its preferences there
_LAST_LINES = (b"#!END-HEADER", b"#End Of ASCII Header")
_VERSION = re.compile(rb"#!AER-DAT(\d+)\.(\d+)")
_CHIP = re.compile(rb"# *AEChip: *(\S+)|#Source \d+: *(\S+)")
_SIZE_OF_CHIP = {
    "davis208": SensorSize(208, 192),
    "davis240": DAVIS240,
    "davis346": DAVIS346,
    "davis640": DAVIS640,
    "davisrgb640": DAVIS640,
    "davis128": DVS128,
    "sbret10": DAVIS240,
    "sbret20": SensorSize(208, 192),
    "dvs128": DVS128,
    "tmpdiff128": DVS128,
}


@dataclass(frozen=True)
class AedatHeader:
    """What a header says.

    Args:
        version: (major, minor); (1, 0) if it does not say.
        chip: the sensor's name, lower case; "" if it does not say.
        n_bytes: where the data begin.
    """

    version: tuple[int, int]
    chip: str
    n_bytes: int

    @property
    def sensor_size(self) -> SensorSize | None:
        """The size of the chip; None if it is not known."""
        return next((size for name, size in _SIZE_OF_CHIP.items() if name in self.chip), None)

    @property
    def is_davis(self) -> bool:
        """Whether the chip also takes natural frames."""
        return "davis" in self.chip or "sbret" in self.chip


def read_header(stream: ByteStream) -> AedatHeader:
    """Read the header and leave the stream where the data begin.

    A line that holds bytes no text holds is data which happen to begin with ``#``.

    Raises:
        RecordingError: the header does not end.
    """
    version, chip = (1, 0), ""
    while stream.offset < MAX_HEADER_BYTES:
        line = stream.read_line(MAX_LINE_BYTES)
        if not line.startswith(b"#") or _is_binary(line):
            stream.push_back(line)
            return AedatHeader(version, chip, stream.offset)
        if match := _VERSION.match(line):
            version = (int(match[1]), int(match[2]))
        if match := _CHIP.match(line):
            chip = (match[1] or match[2]).decode(errors="replace").lower()
        if line.startswith(_LAST_LINES):
            return AedatHeader(version, chip, stream.offset)
    raise RecordingError(
        f"{stream.name}: the header must end within {MAX_HEADER_BYTES} bytes; it goes on. {REMEDY}."
    )


def _is_binary(line: bytes) -> bool:
    return any(byte < 32 and byte not in b"\t\r\n\f\x1b" for byte in line)
