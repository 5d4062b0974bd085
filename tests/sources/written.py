"""Recordings written for tests, by encoders that share no code with the readers."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streamvdib.errors import EventOrderError, RecordingError
from streamvdib.events import EventArray, SensorSize, as_events, empty_events


@dataclass(frozen=True)
class Written:
    """One format as the tests write it.

    Args:
        write: makes the file's bytes of events and the sensor's size.
        size: of the sensor that the events lie on.
        options: what ``open_source`` must be told.
        t0_us: the earliest time that events may have.
        own: read by a parser of this project alone.
        family: the key of ``FORMATS``.
    """

    write: Callable[[EventArray, SensorSize], bytes]
    size: SensorSize
    family: str
    options: dict[str, Any] = field(default_factory=dict)
    own: bool = True


def some_events(
    size: SensorSize, n_events: int = 300, seed: int = 0, span_us: int = 60_000
) -> EventArray:
    """Random events in order of time, every corner of the sensor among them."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(10, span_us, n_events))
    x, y = rng.integers(0, size.width, n_events), rng.integers(0, size.height, n_events)
    corners = [(0, 0), (size.width - 1, 0), (0, size.height - 1), (size.width - 1, size.height - 1)]
    for index, corner in enumerate(corners[:n_events]):
        x[index], y[index] = corner
    return as_events(times, x, y, rng.integers(0, 2, n_events))


def join(source: Any) -> EventArray:
    """All events of a source."""
    pieces = [packet.events for packet in source]
    return np.concatenate(pieces) if pieces else empty_events()


def delivered(source: Any) -> tuple[EventArray, RecordingError | EventOrderError | None]:
    """The events that came of a source, and the error after them."""
    pieces = [empty_events()]
    try:
        for packet in source:
            pieces.append(packet.events)
            assert (packet.events["t_us"] < packet.end_us).all()
    except (RecordingError, EventOrderError) as error:
        return np.concatenate(pieces), error
    return np.concatenate(pieces), None


def rows(events: EventArray) -> list[tuple[int, int, int, bool]]:
    """Events as plain tuples."""
    return [(int(t), int(x), int(y), bool(on)) for t, x, y, on in events.tolist()]


def atis40(events: EventArray, _size: SensorSize) -> bytes:
    """Five bytes an event."""
    return b"".join(
        bytes([x, y, on << 7 | t >> 16, t >> 8 & 255, t & 255]) for t, x, y, on in rows(events)
    )


def aedat1(events: EventArray, _size: SensorSize) -> bytes:
    """DVS128, 6 bytes an event."""
    words = [
        struct.pack(">HI", y << 8 | (127 - x) << 1 | (not on), t & 0xFFFFFFFF)
        for t, x, y, on in rows(events)
    ]
    return b"#!AER-DAT1.0\r\n# This is a raw AE data file - do not edit\r\n" + b"".join(words)


def aedat2(events: EventArray, _size: SensorSize) -> bytes:
    """DVS128, 8 bytes an event."""
    words = [
        struct.pack(">II", y << 8 | (127 - x) << 1 | (not on), t & 0xFFFFFFFF)
        for t, x, y, on in rows(events)
    ]
    return b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n" + b"".join(words)


def aedat2_davis(events: EventArray, size: SensorSize) -> bytes:
    """DAVIS346 with an APS word after every third event and an external one after every tenth."""
    data = [b"#!AER-DAT2.0\r\n# AEChip: eu.seebetter.ini.chips.davis.Davis346blue\r\n"]
    for index, (t, x, y, on) in enumerate(rows(events)):
        address = (size.height - 1 - y) << 22 | (size.width - 1 - x) << 12 | on << 11
        data.append(struct.pack(">II", address, t))
        if index % 3 == 0:
            data.append(struct.pack(">II", 1 << 31 | address, t))
        if index % 10 == 0:
            data.append(struct.pack(">II", 0x402, t))
    return b"".join(data)


def aedat31(events: EventArray, _size: SensorSize) -> bytes:
    """Packets of 64 polarity events, with one IMU packet and one frame among them."""
    data = [b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"]
    listed = rows(events)
    for start in range(0, len(listed), 64):
        piece = listed[start : start + 64]
        n = len(piece)
        data.append(struct.pack("<HHIIIIII", 1, 1, 8, 4, 0, n, n, n))
        data += [struct.pack("<II", x << 17 | y << 2 | on << 1 | 1, t) for t, x, y, on in piece]
    data.append(struct.pack("<HHIIIIII", 3, 1, 36, 4, 0, 2, 2, 2) + bytes(72))
    last = listed[-1][0] if listed else 0
    frame = struct.pack("<I4i2i2i", 1 | 1 << 1, last, last, last, last, 4, 2, 0, 0)
    frame += np.arange(8, dtype="<u2").tobytes()
    data.append(struct.pack("<HHIIIIII", 2, 1, len(frame), 4, 0, 1, 1, 1) + frame)
    return b"".join(data)


def _prophesee_header(encoding: str, version: str, size: SensorSize, more: str = "") -> bytes:
    return (
        f"% evt {version}\n% format {encoding};height={size.height};width={size.width}{more}\n"
        f"% geometry {size.width}x{size.height}\n% end\n"
    ).encode()


def evt2(events: EventArray, size: SensorSize) -> bytes:
    """32-bit words with a TIME_HIGH where it changes."""
    words, high = [], -1
    for t, x, y, on in rows(events):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high & 0xFFFFFFF)
        words.append(int(on) << 28 | (t & 63) << 22 | x << 11 | y)
    words.insert(len(words) // 2, 0xA << 28)
    return _prophesee_header("EVT2", "2.0", size) + np.array(words, "<u4").tobytes()


def evt21_words(events: EventArray) -> np.ndarray:
    """64-bit words, one event each but for neighbours that share a word."""
    words, high = [], -1
    for t, x, y, on in rows(events):
        if t >> 6 != high:
            high = t >> 6
            words.append((8 << 28 | high & 0xFFFFFFF) << 32)
        base = x // 32 * 32
        words.append((int(on) << 28 | (t & 63) << 22 | base << 11 | y) << 32 | 1 << (x - base))
    return np.array(words, "<u8")


def evt21(events: EventArray, size: SensorSize) -> bytes:
    """EVT2.1 in the order of the GenX320."""
    header = _prophesee_header("EVT21", "2.1", size, ";endianness=little")
    return header + evt21_words(events).tobytes()


def evt21_legacy(events: EventArray, size: SensorSize) -> bytes:
    """EVT2.1 in the order of the IMX636, which the header does not name."""
    halves = evt21_words(events).view("<u4").reshape(-1, 2)[:, ::-1]
    return _prophesee_header("EVT21", "2.1", size) + np.ascontiguousarray(halves).tobytes()


def evt3(events: EventArray, size: SensorSize) -> bytes:
    """16-bit words: rows, columns, and now and then a vector of one event."""
    words: list[int] = []
    high = low = row = -1
    for index, (t, x, y, on) in enumerate(rows(events)):
        if t >> 12 != high:
            high, low = t >> 12, -1
            words.append(0x8000 | high & 0xFFF)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(0x6000 | low)
        if y != row:
            row = y
            words.append(y)
        if index % 4 == 0:
            words += [0x3000 | int(on) << 11 | x, 0x4001 if index % 8 else 0x5001]
        else:
            words.append(0x2000 | int(on) << 11 | x)
    return _prophesee_header("EVT3", "3.0", size) + np.array(words, "<u2").tobytes()


def dat(events: EventArray, size: SensorSize) -> bytes:
    """DAT version 2 with a size."""
    header = f"% Version 2\n% Height {size.height}\n% Width {size.width}\n".encode()
    words = [struct.pack("<II", t, x | y << 14 | on << 28) for t, x, y, on in rows(events)]
    return header + b"\x0c\x08" + b"".join(words)


def dat_without_size(events: EventArray, _size: SensorSize) -> bytes:
    """DAT version 2 as in N-CARS."""
    words = [struct.pack("<II", t, x | y << 14 | on << 28) for t, x, y, on in rows(events)]
    return b"% Data file containing TD events.\n% Version 2\n" + b"\x00\x08" + b"".join(words)


def es_dvs(events: EventArray, size: SensorSize) -> bytes:
    """Event Stream, type dvs."""
    data, last = [b"Event Stream\x02\x00\x00\x01" + struct.pack("<HH", *size)], 0
    for t, x, y, on in rows(events):
        overflows, step = divmod(t - last, 127)
        data.append(b"\xff" * overflows + bytes([step << 1 | on]))
        data.append(struct.pack("<HH", x, size.height - 1 - y))
        last = t
    return b"".join(data)


def es_atis(events: EventArray, size: SensorSize) -> bytes:
    """Event Stream, type atis, with an exposure event after every fifth."""
    data, last = [b"Event Stream\x02\x00\x00\x02" + struct.pack("<HH", *size)], 0
    for index, (t, x, y, on) in enumerate(rows(events)):
        overflows, step = divmod(t - last, 63)
        data.append(
            b"\xff" * (overflows // 3) + (bytes([0xFC | overflows % 3]) if overflows % 3 else b"")
        )
        place = struct.pack("<HH", x, size.height - 1 - y)
        data.append(bytes([step << 2 | on << 1]) + place)
        if index % 5 == 0:
            data.append(bytes([0 << 2 | on << 1 | 1]) + place)
        last = t
    return b"".join(data)


def text(events: EventArray, size: SensorSize) -> bytes:
    """Seconds with six decimals, t x y p."""
    lines = [f"{t // 10**6}.{t % 10**6:06d} {x} {y} {int(on)}\n" for t, x, y, on in rows(events)]
    return f"{size.width} {size.height}\n".encode() + "".join(lines).encode()


def csv(events: EventArray, _size: SensorSize) -> bytes:
    """Microseconds with a header and another order; OFF is -1."""
    lines = [f"{x},{y},{1 if on else -1},{t}\r\n" for t, x, y, on in rows(events)]
    return b"x,y,polarity,timestamp\r\n" + "".join(lines).encode()


def npy(events: EventArray, _size: SensorSize) -> bytes:
    """A structured array."""
    file = io.BytesIO()
    np.save(file, events)
    return file.getvalue()


def npz(events: EventArray, size: SensorSize) -> bytes:
    """One array per column, packed, and the size."""
    file = io.BytesIO()
    columns = {"t": events["t_us"], "x": events["x"], "y": events["y"], "p": events["on"]}
    np.savez_compressed(file, **columns, sensor_size=size)
    return file.getvalue()


def gzipped(
    write: Callable[[EventArray, SensorSize], bytes],
) -> Callable[[EventArray, SensorSize], bytes]:
    """The same, packed."""
    return lambda events, size: gzip.compress(write(events, size))


BY_BYTES = {
    "ATIS 40-bit": Written(atis40, SensorSize(34, 34), "atis40"),
    "AEDAT 1.0": Written(aedat1, SensorSize(128, 128), "aedat_legacy"),
    "AEDAT 2.0 DVS128": Written(aedat2, SensorSize(128, 128), "aedat_legacy"),
    "AEDAT 2.0 DAVIS": Written(aedat2_davis, SensorSize(346, 260), "aedat_legacy"),
    "AEDAT 3.1": Written(aedat31, SensorSize(240, 180), "aedat31"),
    "EVT2": Written(evt2, SensorSize(640, 480), "prophesee_raw"),
    "EVT2.1": Written(evt21, SensorSize(320, 320), "prophesee_raw"),
    "EVT2.1 legacy": Written(evt21_legacy, SensorSize(1280, 720), "prophesee_raw"),
    "EVT3": Written(evt3, SensorSize(1280, 720), "prophesee_raw"),
    "DAT": Written(dat, SensorSize(1280, 720), "prophesee_dat"),
    "DAT without size": Written(dat_without_size, SensorSize(120, 100), "prophesee_dat"),
    "Event Stream dvs": Written(es_dvs, SensorSize(320, 240), "event_stream"),
    "Event Stream atis": Written(es_atis, SensorSize(304, 240), "event_stream"),
    "text": Written(text, SensorSize(200, 150), "text"),
    "text with header": Written(csv, SensorSize(240, 180), "text"),
    "NumPy .npy": Written(npy, SensorSize(346, 260), "numpy"),
    "NumPy .npz": Written(npz, SensorSize(300, 200), "numpy"),
}
"""Formats whose files are made of bytes alone, by own parsers."""
