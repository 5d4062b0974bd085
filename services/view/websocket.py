"""The server's half of WebSocket (RFC 6455), as far as a page on loopback needs it.

Messages from the page are small and bounded; fragments and extensions are refused.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct

from streamvdib.errors import ServiceError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_PAGE_MESSAGE_BYTES = 4096
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_key(key: str) -> str:
    """The answer to ``Sec-WebSocket-Key``; the example is the RFC's.

    >>> accept_key("dGhlIHNhbXBsZSBub25jZQ==")
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def encode(payload: bytes, opcode: int = BINARY) -> bytes:
    """One unmasked frame, as servers send it."""
    head = bytes([0x80 | opcode])
    if len(payload) < 126:
        return head + bytes([len(payload)]) + payload
    if len(payload) < 65536:
        return head + struct.pack("!BH", 126, len(payload)) + payload
    return head + struct.pack("!BQ", 127, len(payload)) + payload


async def read_message(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame of the page: opcode and payload.

    Raises:
        ServiceError: it is not masked, in fragments, or too long.
        asyncio.IncompleteReadError: the page has gone.
    """
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if not first & 0x80 or first & 0x70 or not second & 0x80 or length == 127:
        raise ServiceError("a page's message must be one masked frame without extensions")
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    if length > MAX_PAGE_MESSAGE_BYTES:
        raise ServiceError(f"a page's message must have at most {MAX_PAGE_MESSAGE_BYTES} bytes")
    mask = await reader.readexactly(4)
    masked = await reader.readexactly(length)
    return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(masked))
