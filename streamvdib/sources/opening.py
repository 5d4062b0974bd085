"""Finds out what a path or an address is, by content, and opens it."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from types import ModuleType
from typing import cast

from streamvdib.errors import ConfigurationError, UnknownFormatError
from streamvdib.events import SensorSize
from streamvdib.sources.options import DEFAULT_MAX_GAP_US, DEFAULT_PACKET_US, ReadOptions
from streamvdib.sources.reading import open_stream
from streamvdib.sources.source import EventSource

FORMATS: dict[str, str] = {
    "svr": "streamvdib.sources.svr",
    "aedat4": "streamvdib.sources.aedat4",
    "aedat_legacy": "streamvdib.sources.aedat_legacy",
    "aedat31": "streamvdib.sources.aedat31",
    "event_stream": "streamvdib.sources.event_stream",
    "prophesee_raw": "streamvdib.sources.prophesee_raw",
    "prophesee_dat": "streamvdib.sources.prophesee_dat",
    "numpy": "streamvdib.sources.numpy_files",
    "hdf5": "streamvdib.sources.hdf5",
    "rosbag": "streamvdib.sources.rosbag",
    "text": "streamvdib.sources.text",
    "atis40": "streamvdib.sources.atis40",
    "sound": "streamvdib.sources.sound",
}
"""Format family -> module with ``recognises`` and ``open_recording``; asked in this order: what
says clearly what it is before what must be guessed, and last what is slow to import."""

SCHEMES: dict[str, str] = {
    "-": "streamvdib.sources.pipe:open_pipe",
    "pipe": "streamvdib.sources.pipe:open_pipe",
    "udp": "streamvdib.sources.network:open_udp",
    "dv": "streamvdib.sources.dv_network:open_dv",
    "zmq": "streamvdib.services.event_source:open_zmq",
    "inivation": "streamvdib.sources.cameras:open_camera",
    "prophesee": "streamvdib.sources.cameras:open_camera",
    "camera": "streamvdib.sources.cameras:open_camera",
    "sound": "streamvdib.sources.sound:open_sound",
    "microphone": "streamvdib.sources.sound:open_sound",
}
"""First word of an address -> ``module:function``, which is called with the whole address and
the keyword options of ``open_source``. The address ``-`` is looked up as it is."""

HEAD_BYTES = 1 << 16
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._]+):")


def open_source(
    uri: str | os.PathLike[str],
    *,
    sensor_size: SensorSize | None = None,
    lenient: bool = False,
    packet_us: int = DEFAULT_PACKET_US,
    **options: object,
) -> EventSource:
    """Open a recording by its content, or a live source by its address.

    Args:
        uri: a path, or an address such as ``udp://0.0.0.0:3333``.
        sensor_size: overrules what the source says of itself, or stands in where it is silent.
        lenient: repair bad data in a recording and count it, instead of raising.
        packet_us: how much of the sensor's time a packet covers at most, microseconds.
        options: ``isolated`` (read in a child process), ``max_gap_us``, ``format`` (a key of
            ``FORMATS``, instead of recognition), and those of one format or one scheme.

    Raises:
        UnknownFormatError: nothing recognises the content.
        RecordingError: the file is absent, or its header cannot be meant.
        MissingExtraError: the format needs a package that is not installed.
    """
    scheme = "pipe" if Path(uri).is_fifo() else _scheme_of(uri)
    if scheme is not None:
        module_name, _, function_name = SCHEMES[scheme].partition(":")
        opener = getattr(importlib.import_module(module_name), function_name)
        live = opener(
            os.fspath(uri),
            sensor_size=sensor_size,
            lenient=lenient,
            packet_us=packet_us,
            **options,
        )
        return cast("EventSource", live)
    if options.pop("isolated", False):
        isolated = importlib.import_module("streamvdib.sources.isolated").isolated
        child = isolated(
            uri, sensor_size=sensor_size, lenient=lenient, packet_us=packet_us, **options
        )
        return cast("EventSource", child)
    return _open_recording(Path(uri), sensor_size, lenient, packet_us, options)


def _scheme_of(uri: str | os.PathLike[str]) -> str | None:
    """The key of ``SCHEMES`` that an address begins with; None for a path."""
    text = os.fspath(uri)
    if text in SCHEMES:
        return text
    match = _SCHEME.match(text)
    if match is None or Path(text).exists():
        return None
    scheme = match.group(1).lower()
    if scheme in SCHEMES:
        return scheme
    if text[match.end() :].startswith("//"):
        known = ", ".join(sorted(SCHEMES))
        raise ConfigurationError(f"an address must begin with one of: {known}; got {text}")
    return None


def _open_recording(
    path: Path,
    sensor_size: SensorSize | None,
    lenient: bool,
    packet_us: int,
    options: dict[str, object],
) -> EventSource:
    max_gap_us = options.pop("max_gap_us", DEFAULT_MAX_GAP_US)
    if not isinstance(max_gap_us, int):
        raise ConfigurationError(f"max_gap_us must be a whole number; got {max_gap_us!r}")
    wanted = options.pop("format", None)
    if wanted is not None and wanted not in FORMATS:
        raise ConfigurationError(f"format must be one of: {', '.join(FORMATS)}; got {wanted}")
    name = _recognise(path, options) if wanted is None else str(wanted)
    read_options = ReadOptions(sensor_size, lenient, packet_us, max_gap_us, options)
    return cast("EventSource", _module(name).open_recording(path, read_options))


def _recognise(path: Path, options: dict[str, object]) -> str:
    """By content; a file that nothing recognises is text if its columns are named."""
    try:
        return recognise(path)
    except UnknownFormatError:
        if "columns" not in options:
            raise
        return "text"


def recognise(path: str | os.PathLike[str]) -> str:
    """The key of ``FORMATS`` whose module recognises the content of a file or bag folder.

    Raises:
        RecordingError: there is no such file, or it is empty.
        UnknownFormatError: no format recognises it.
    """
    file = Path(path)
    head = read_head(file)
    for name in FORMATS:
        if _module(name).recognises(head, file):
            return name
    if file.is_dir():
        raise UnknownFormatError(
            f"{file}: a recording must be a file or a ROS 2 bag; got a folder that is no bag. "
            f"Name its files, or play a data set with: streamvdib replay {file}"
        )
    raise UnknownFormatError(
        f"{file}: a recording must be in one of the formats {', '.join(FORMATS)}; its content, "
        f"which begins with {head[:16]!r}, is in none. Name the format with "
        "--option format=... if you know it, or convert the file."
    )


def read_head(path: Path) -> bytes:
    """The first bytes of the content, unpacked if it is gzip; none for a folder."""
    if path.is_dir():
        return b""
    with open_stream(path, lenient=True) as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise UnknownFormatError(f"{path}: a recording must hold data; the file is empty (0 bytes)")
    return head


def _module(name: str) -> ModuleType:
    return importlib.import_module(FORMATS[name])
