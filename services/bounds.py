"""msgpack from strangers: every size is bounded before anything is built from it.

msgpack alone lets 8 MB of empty maps become 538 MB of objects, and passes NaN, repeated keys
and keys that are bytes; each of these is refused here with an error that names the field.
"""

from __future__ import annotations

import math
from typing import Any

import msgpack

from streamvdib.errors import ServiceError

MAX_ARRAY_ITEMS = 64
MAX_MAP_ITEMS = 64
MAX_TEXT_BYTES = 4096
MAX_DEPTH = 8


class WireError(ServiceError):
    """A message that does not hold what its schema promises.

    Attributes:
        code: one word for programs, such as ``wrong_type``; docs/wire.md lists them.
        field: the field at fault as a path from the message, such as ``arguments.beta``; empty
            where the message as a whole is at fault.
        request_id: the id of the request that held it, where that was good.
    """

    def __init__(self, code: str, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.code = code
        self.field = field
        self.reason = reason
        self.request_id: int | str | None = None


def pack(value: object) -> bytes:
    """``value`` (maps, arrays, text, numbers) as msgpack."""
    return bytes(msgpack.packb(value, use_bin_type=True))


def unpack_map(raw: bytes | memoryview, max_bytes: int) -> dict[str, Any]:
    """One msgpack map, or a ``WireError``; never more memory than its length warrants.

    Args:
        raw: the bytes as they came.
        max_bytes: the longest message that is looked at.
    """
    if len(raw) > max_bytes:
        raise WireError("too_large", "", f"must be at most {max_bytes} bytes; got {len(raw)}")
    try:
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=_map_of_unique_names,
            max_str_len=MAX_TEXT_BYTES,
            max_bin_len=MAX_TEXT_BYTES,
            max_array_len=MAX_ARRAY_ITEMS,
            max_map_len=MAX_MAP_ITEMS,
            max_ext_len=0,
        )
    except WireError:
        raise
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise WireError("malformed", "", f"must be one msgpack map; {_reason(error)}") from error
    if not isinstance(value, dict):
        raise WireError("malformed", "", f"must be a map; got {kind_of(value)}")
    _check_values(value, "", 1)
    return value


def kind_of(value: object) -> str:
    """The msgpack kind of ``value``, for error messages."""
    names = {dict: "map", list: "array", str: "text", bytes: "bytes", type(None): "nil"}
    return names.get(type(value), type(value).__name__)


def _map_of_unique_names(pairs: list[tuple[object, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if not isinstance(name, str):
            raise WireError("malformed", "", f"keys must be text; got {kind_of(name)}")
        if name in found:
            raise WireError("malformed", name[:64], "must be given once; it came twice")
        found[name] = value
    return found


def _check_values(value: object, path: str, depth: int) -> None:
    """Refuse what is nested too deep, and numbers that are not finite."""
    if depth > MAX_DEPTH:
        raise WireError("malformed", path, f"must be nested at most {MAX_DEPTH} deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise WireError("out_of_range", path, f"must be finite; got {value}")
    if isinstance(value, dict):
        for name, item in value.items():
            _check_values(item, f"{path}.{name[:64]}" if path else name[:64], depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_values(item, f"{path}[{index}]", depth + 1)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:160] if str(error) else type(error).__name__
