"""The text at the beginning of Prophesee's RAW and DAT files: lines that begin with ``%``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from streamvdib.errors import RecordingError
from streamvdib.events import SensorSize
from streamvdib.sources.reading import REMEDY, ByteStream

MAX_LINE_BYTES = 1 << 16
MAX_HEADER_BYTES = 1 << 20
_SIZE_OF_PLUGIN = {
    "genx320": SensorSize(320, 320),
    "imx636": SensorSize(1280, 720),
    "imx646": SensorSize(1280, 720),
    "gen4": SensorSize(1280, 720),
    "gen3": SensorSize(640, 480),
}
_FIELD = re.compile(r"%\s*(\S+)\s*(.*)")
_NUMBER = re.compile(r"[0-9]{1,5}")
_GEOMETRY = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_FORMAT_FIELD = re.compile(r"(\w+)=(\w+)")


@dataclass(frozen=True)
class PropheseeHeader:
    """What a header says.

    Args:
        fields: name, lower case -> value.
        n_bytes: where the data begin.
    """

    fields: dict[str, str]
    n_bytes: int

    @property
    def encoding(self) -> str:
        """``evt2``, ``evt21``, ``evt3``; "" if it does not say."""
        name = self.fields.get("format", "").partition(";")[0] or self.fields.get("evt", "")
        found = re.search(r"(\d)(?:\.?(\d))?", name)
        if found is None:
            return ""
        return f"evt{found[1]}{'' if found[2] in (None, '0') else found[2]}"

    @property
    def format_fields(self) -> dict[str, str]:
        """The ``key=value`` pairs of the line ``% format``."""
        return dict(_FORMAT_FIELD.findall(self.fields.get("format", "")))

    @property
    def sensor_size(self) -> SensorSize | None:
        """From the format line, the geometry, width and height, or the camera's plugin."""
        for fields in (self.format_fields, self.fields):
            width, height = fields.get("width", ""), fields.get("height", "")
            if _NUMBER.fullmatch(width) and _NUMBER.fullmatch(height):
                return SensorSize(int(width), int(height))
        if found := _GEOMETRY.search(self.fields.get("geometry", "")):
            return SensorSize(int(found[1]), int(found[2]))
        plugin = self.fields.get("plugin_name", "").lower()
        return next((size for name, size in _SIZE_OF_PLUGIN.items() if name in plugin), None)


def read_header(stream: ByteStream) -> PropheseeHeader:
    """Read the header and leave the stream where the data begin.

    Raises:
        RecordingError: the header does not end.
    """
    fields: dict[str, str] = {}
    while stream.offset < MAX_HEADER_BYTES:
        line = stream.read_line(MAX_LINE_BYTES)
        if not line.startswith(b"%") or any(byte < 32 and byte not in b"\t\r\n" for byte in line):
            stream.push_back(line)
            return PropheseeHeader(fields, stream.offset)
        if match := _FIELD.match(line.decode("latin-1")):
            fields[match[1].lower()] = match[2].strip()
        if line.split()[1:2] == [b"end"]:
            return PropheseeHeader(fields, stream.offset)
    raise RecordingError(
        f"{stream.name}: the header must end within {MAX_HEADER_BYTES} bytes; it goes on. {REMEDY}."
    )
