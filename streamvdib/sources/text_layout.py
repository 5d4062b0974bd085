"""What the columns of a text recording mean, told by an option, a header or the usual order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError
from streamvdib.events import SensorSize
from streamvdib.sources.text_kernel import IGNORED, P, T, X, Y

BOM = b"\xef\xbb\xbf"
USUAL_COLUMNS = "t x y p"
_MEANING = {
    **dict.fromkeys(("t", "ts", "time", "timestamp", "timestamps", "t_us", "t_s"), T),
    **dict.fromkeys(("x", "xs", "column", "col"), X),
    **dict.fromkeys(("y", "ys", "row"), Y),
    **dict.fromkeys(("p", "ps", "pol", "polarity", "on"), P),
}
_SCALE_OF_UNIT = {"s": 6, "ms": 3, "us": 0, "ns": -3}
_SEPARATORS = re.compile(r"[\s,;]+")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?$")
_WHOLE = re.compile(r"[0-9]{1,5}$")
_SIZED_NAME = re.compile(r"[xy]@\d{1,5}$")  # faery: x@346, y@260
_BEFORE_UNIT = re.compile(r"\s+(?=[\[(](?:s|ms|us|ns)[\])])")  # as in "timestamp (us)"
_UNIT_IN_NAME = re.compile(r"[_\[(](s|ms|us|ns)[\])]?$")


@dataclass(frozen=True)
class TextLayout:
    """How lines are to be read.

    Args:
        columns: what each column means, (n_columns,).
        scale: times are multiplied by ten to this power.
        n_bytes: where the first line of data begins.
        sensor_size: from a first line of two numbers or faery's header; None without one.
    """

    columns: npt.NDArray[np.int64]
    scale: int
    n_bytes: int
    sensor_size: SensorSize | None


def find_layout(head: bytes, options: Mapping[str, object]) -> TextLayout | None:
    """The layout of a text that begins with ``head``; None if that is no text of events.

    Args:
        head: the beginning of the file; its last line may be cut off.
        options: ``columns`` such as "x y t p" with "_" for one to skip, ``time_unit`` "s",
            "ms", "us" or "ns".
    """
    names: list[str] | None = None
    sensor_size = None
    offset = len(BOM) if head.startswith(BOM) else 0
    start = offset
    for line in head[offset:].splitlines(keepends=True):
        words = _words(line)
        if words is None:
            return None
        comment = line.lstrip()[:1] in (b"#", b"%")
        sizes = {word[0]: int(word[2:]) for word in words if _SIZED_NAME.match(word)}
        words = [word[0] if _SIZED_NAME.match(word) else word for word in words]
        if _is_header(words):
            names = words
            sensor_size = SensorSize(sizes["x"], sizes["y"]) if len(sizes) == 2 else sensor_size
        elif words and not comment:
            if not all(_NUMBER.match(word) for word in words):
                return None
            if len(words) != 2 or offset > start:
                return _layout(words, names, sensor_size, offset, options)
            sensor_size = _size(words)
        offset += len(line)
    if names is None:
        return None
    return _layout(["0"] * len(names), names, sensor_size, offset, options)


def _layout(
    first: list[str],
    names: list[str] | None,
    sensor_size: SensorSize | None,
    offset: int,
    options: Mapping[str, object],
) -> TextLayout | None:
    wanted = options.get("columns")
    if isinstance(wanted, str):
        names = [word.lower() for word in _SEPARATORS.split(wanted.strip())]
    elif names is None:
        names = USUAL_COLUMNS.split()
    meanings = [_MEANING.get(_UNIT_IN_NAME.sub("", name), IGNORED) for name in names]
    if sorted(meaning for meaning in meanings if meaning != IGNORED) != [T, X, Y, P]:
        raise ConfigurationError(
            f"columns must name each of t, x, y, p once (and _ for one to skip); got {names}"
        )
    if len(first) != len(names) and wanted is None:
        return None
    time_column = meanings.index(T)
    unit = _unit(names[time_column], first[time_column : time_column + 1], options)
    columns = np.array(meanings, dtype=np.int64)
    return TextLayout(columns, _SCALE_OF_UNIT[unit], offset, sensor_size)


def _unit(name: str, first: list[str], options: Mapping[str, object]) -> str:
    """The unit of times: an option, the column's name, or what the first one looks like."""
    unit = options.get("time_unit")
    if unit is not None:
        if unit not in _SCALE_OF_UNIT:
            raise ConfigurationError(
                f"time_unit must be one of {', '.join(_SCALE_OF_UNIT)}; got {unit!r}"
            )
        return str(unit)
    if match := _UNIT_IN_NAME.search(name):
        return match[1]
    return "s" if first and any(mark in first[0] for mark in ".e") else "us"


def _words(line: bytes) -> list[str] | None:
    """The words of a line in lower case; None if it is not text."""
    try:
        text = line.decode().strip().lstrip("#%").strip()
    except UnicodeDecodeError:
        return None
    if any(ord(character) < 32 and character != "\t" for character in text):
        return None
    words = _SEPARATORS.split(_BEFORE_UNIT.sub("", text))
    return [word.strip("\"'").lower() for word in words if word]


def _is_header(words: list[str]) -> bool:
    found = {_MEANING.get(_UNIT_IN_NAME.sub("", word)) for word in words}
    return {T, X, Y, P} <= found and len(words) <= 16


def _size(words: list[str]) -> SensorSize | None:
    return SensorSize(*map(int, words)) if all(_WHOLE.match(word) for word in words) else None
