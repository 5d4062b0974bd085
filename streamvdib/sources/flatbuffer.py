"""Reads tables of a flatbuffer by hand: what AEDAT4 needs of the format, and no more.

    table    i32: how far back its list of fields lies; then the fields
    list     u16 bytes of the list, u16 bytes of the table, u16 place of each field (0: absent)
    vector   u32 number of elements, then the elements; a field holds u32, how far on it lies

All places are checked against the data by ``struct``; what is not there raises. Format:
flatbuffers.dev, "FlatBuffer internals".
"""

from __future__ import annotations

import struct

Data = bytes | memoryview
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U16 = struct.Struct("<H")


class Table:
    """One table.

    Args:
        data: the buffer.
        at: where the table begins.

    Raises:
        ValueError: its list of fields lies outside.
        struct.error: the same.
    """

    def __init__(self, data: Data, at: int) -> None:
        self.data = data
        self.at = at
        list_at = at - int(_I32.unpack_from(data, at)[0])
        if not 0 <= list_at < len(data):
            raise ValueError("a table's list of fields lies outside of it")
        n_fields = (int(_U16.unpack_from(data, list_at)[0]) - 4) // 2
        self._fields = struct.unpack_from(f"<{max(n_fields, 0)}H", data, list_at + 4)

    def place(self, field: int) -> int:
        """Where a field lies; 0 if it is absent."""
        offset = int(self._fields[field]) if field < len(self._fields) else 0
        return self.at + offset if offset else 0

    def integer(self, field: int, kind: str, default: int = 0) -> int:
        """A number, of a format character of ``struct``; ``default`` if it is absent."""
        place = self.place(field)
        return int(struct.unpack_from("<" + kind, self.data, place)[0]) if place else default

    def vector(self, field: int, item_bytes: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are.

        Raises:
            ValueError: they do not lie within the data.
        """
        place = self.place(field)
        if not place:
            return 0, 0
        start = place + int(_U32.unpack_from(self.data, place)[0])
        n_items = int(_U32.unpack_from(self.data, start)[0])
        if start + 4 + n_items * item_bytes > len(self.data):
            raise ValueError(f"a vector of {n_items} elements does not fit into it")
        return start + 4, n_items

    def text(self, field: int) -> str:
        """A string; empty if it is absent."""
        start, n_bytes = self.vector(field, 1)
        return bytes(self.data[start : start + n_bytes]).decode(errors="replace")


def root_table(data: Data, identifier: bytes, start: int = 0) -> Table:
    """The first table of a buffer that begins at ``start`` and carries an identifier.

    Raises:
        ValueError: it carries another.
        struct.error: it lies outside.
    """
    found = bytes(data[start + 4 : start + 8])
    if found != identifier:
        raise ValueError(f"its identifier is {found!r} instead of {identifier!r}")
    return Table(data, start + int(_U32.unpack_from(data, start)[0]))
