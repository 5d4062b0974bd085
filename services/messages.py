"""What goes over the wire: ``[topic][msgpack header][raw payload]``; docs/wire.md is the schema.

A topic is ``KIND/STREAM/live``, or ``KIND/STREAM/last`` for what a newcomer is told at once. A
reader refuses a major schema number it does not know and ignores fields it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .bounds import WireError, kind_of, pack, unpack_map

SCHEMA = (1, 0)
"""Major (readers of another one refuse) and minor (fields were added) number."""

KINDS = ("frame", "spikes", "events", "stats", "heartbeat")
ZMTP_HEARTBEAT_MS, ZMTP_PATIENCE_MS = 500, 2000
"""Both ends of the data sockets ping after so long, and give up after so much longer."""

SERVICE_STREAM = "service"
"""The stream of what concerns the whole service: its heartbeats."""

MAX_HEADER_BYTES = 65536
STREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def topic(stream: str, kind: str, last: bool = False) -> bytes:
    """The first part of a message.

    >>> topic("digits", "frame")
    b'frame/digits/live'
    """
    return f"{kind}/{stream}/{'last' if last else 'live'}".encode()


def checked_stream_name(name: str) -> str:
    """``name`` if it can stand in a topic."""
    if not STREAM_NAME.fullmatch(name) or name == SERVICE_STREAM:
        raise WireError(
            "out_of_range",
            "stream",
            "a stream name must be 1 to 64 letters, digits, '.', '_' or '-', begin with a letter "
            f"or digit, and not be {SERVICE_STREAM!r}; got {name!r}",
        )
    return name


_DTYPE = re.compile(r"\|[bui]1|[<>](?:[ui][248]|f[248])")


@dataclass(frozen=True, kw_only=True)
class Header:
    """The second part of a message. Times of the sensor are microseconds of its own clock."""

    kind: str
    stream: str
    run: str  # 16 hexadecimal digits; another run is another start of the service
    sequence: int  # counts the messages of this topic in this run, from 0
    step: int  # last time step seen
    start_us: int  # sensor time at which what is described begins
    end_us: int  # sensor time at which it ends
    wall_us: int  # wall clock when it was made, microseconds since 1970
    monotonic_ns: int  # monotonic clock of the serving machine at the same moment
    schema: tuple[int, int] = SCHEMA
    due_ns: int | None = None  # monotonic clock of the serving machine when end_us was true
    boot: str = ""  # names the machine's monotonic clock: compare clocks only if it is yours
    dtype: str = "|u1"  # NumPy's word for one value, byte order included
    shape: tuple[int, ...] = (0,)
    bytes: int = 0  # length of the payload
    range: tuple[float, float] | None = None  # smallest and largest value that can occur
    fields: Mapping[str, str] | None = None  # dtype per field, in order, where a value is a record
    model: str = ""
    generation: int = 0  # of the weights; every learning update raises it
    seed: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)  # totals since the start, by cause
    description: Mapping[str, Any] | None = None  # of the stream; in a newcomer's first message


_TYPES: dict[str, tuple[type, ...]] = {
    "kind": (str,),
    "stream": (str,),
    "run": (str,),
    "sequence": (int,),
    "step": (int,),
    "start_us": (int,),
    "end_us": (int,),
    "wall_us": (int,),
    "monotonic_ns": (int,),
    "due_ns": (int, type(None)),
    "boot": (str,),
    "dtype": (str,),
    "shape": (list,),
    "bytes": (int,),
    "range": (list, type(None)),
    "fields": (dict, type(None)),
    "model": (str,),
    "generation": (int,),
    "seed": (int,),
    "dropped": (dict,),
    "description": (dict, type(None)),
}
_REQUIRED = tuple(list(_TYPES)[:9])
_HEADER_FIELDS = tuple(f.name for f in fields(Header))


def encode_header(header: Header) -> bytes:
    """``header`` as msgpack; fields that are None are left out."""
    return pack(header_values(header))


def header_values(header: Header) -> dict[str, Any]:
    """The fields of ``header`` that are not None, by name."""
    values = {name: getattr(header, name) for name in _HEADER_FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def decode_header(raw: bytes | memoryview) -> Header:
    """The header in ``raw``.

    Raises:
        WireError: it is no header of a schema this reader knows; the field is named.
    """
    values = unpack_map(raw, MAX_HEADER_BYTES)
    schema = _checked_schema(values.get("schema"))
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise WireError("missing_field", missing[0], "must be given; it is missing")
    known = {name: value for name, value in values.items() if name in _TYPES}
    for name, value in known.items():
        _check_type(name, value, _TYPES[name])
    _check_items("shape", known.get("shape", []), (int,))
    _check_items("range", known.get("range") or [], (int, float))
    known["shape"] = tuple(known.get("shape", (0,)))
    if known.get("range") is not None:
        known["range"] = _pair(known["range"], "range")
    return Header(schema=schema, **known)


def decode_payload(header: Header, payload: bytes | memoryview) -> npt.NDArray[Any]:
    """The payload as a read-only array of ``header.shape``, without a copy.

    Raises:
        WireError: length, shape and dtype contradict one another.
    """
    if len(payload) != header.bytes:
        raise WireError("out_of_range", "bytes", f"must be {len(payload)}; got {header.bytes}")
    dtype = _checked_dtype(header)
    n_values = 1
    for size in header.shape:
        n_values *= max(size, -1)
    if n_values < 0 or n_values * dtype.itemsize != len(payload):
        raise WireError(
            "out_of_range",
            "shape",
            f"{header.shape} of {dtype.itemsize} bytes each must fill {len(payload)} bytes",
        )
    return np.frombuffer(payload, dtype=dtype).reshape(header.shape)


def _checked_dtype(header: Header) -> np.dtype[Any]:
    words = header.fields if header.fields is not None else {"dtype": header.dtype}
    for name, word in words.items():
        if not isinstance(word, str) or not _DTYPE.fullmatch(word):
            path = name if header.fields is None else f"fields.{name}"
            raise WireError("out_of_range", path, f"must be such as '<f4' or '|u1'; got {word!r}")
    return np.dtype(list(words.items()) if header.fields is not None else header.dtype)


def _checked_schema(schema: object) -> tuple[int, int]:
    if not isinstance(schema, list) or len(schema) != 2 or any(type(n) is not int for n in schema):
        raise WireError("malformed", "schema", f"must be [major, minor]; got {schema!r}")
    if schema[0] != SCHEMA[0]:
        raise WireError(
            "unsupported_schema",
            "schema",
            f"major number must be {SCHEMA[0]}; got {schema[0]}. Use a reader of that version",
        )
    return schema[0], schema[1]


def _check_type(path: str, value: object, types: Sequence[type]) -> None:
    if type(value) not in types:
        wanted = " or ".join("nil" if t is type(None) else t.__name__ for t in types)
        raise WireError("wrong_type", path, f"must be {wanted}; got {kind_of(value)}")


def _check_items(path: str, values: Sequence[object], types: Sequence[type]) -> None:
    for index, value in enumerate(values):
        _check_type(f"{path}[{index}]", value, types)


def _pair(values: Sequence[float], path: str) -> tuple[float, float]:
    if len(values) != 2:
        raise WireError("out_of_range", path, f"must be two numbers; got {len(values)}")
    return float(values[0]), float(values[1])
