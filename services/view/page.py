"""The live page: plain HTML and one WebSocket, on loopback, for pages of this very origin.

A page that cannot keep up skips: nothing is sent while the last message has not left.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.parse
from collections.abc import Callable, Mapping
from importlib import resources

import zmq.asyncio

from streamvdib.errors import ServiceError

from ..bounds import WireError, pack, unpack_map
from ..messages import SCHEMA
from ..requests import COMMANDS
from ..subscribing import connect_securely
from .feed import PageFeed
from .settings import ViewSettings
from .websocket import CLOSE, PING, PONG, TEXT, accept_key, encode, read_message

REFRESH_S = 1 / 30
_MAX_REQUEST_BYTES = 8192
_MAX_PAGES = 8
_ALLOWED = ("pause", "resume", "learn", "set_beta", "set_learning_rate", "snapshot", "decode")
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


def serve(settings: ViewSettings, announce: Callable[[str], None]) -> None:
    """Serve the page until the process ends; ``announce`` is given its URL."""
    asyncio.run(PageServer(settings).run(announce))


class PageServer:
    """One service's page. Memory: what ``PageFeed`` holds, at most eight open pages."""

    def __init__(self, settings: ViewSettings) -> None:
        self._settings = settings
        self._pages: set[asyncio.StreamWriter] = set()
        self._port = settings.port
        self._ids = iter(range(1, 2**62))

    async def run(self, announce: Callable[[str], None]) -> None:
        """Serve for ever.

        Raises:
            ServiceError: the port is taken.
        """
        self._feed = PageFeed(self._settings)
        self._control = _control_socket(self._settings)
        try:
            server = await asyncio.start_server(
                self._serve_connection, "127.0.0.1", self._port, limit=_MAX_REQUEST_BYTES
            )
        except OSError as error:
            raise ServiceError(f"port {self._port} must be free; {error}") from error
        self._port = server.sockets[0].getsockname()[1]
        announce(f"http://127.0.0.1:{self._port}/")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feed.follow())
            tasks.create_task(self._refresh())
            tasks.create_task(self._read_replies())
            tasks.create_task(server.serve_forever())

    async def _refresh(self) -> None:
        """Send what has changed to every page that has taken in what was sent before."""
        n_passes = 0
        while True:
            await asyncio.sleep(REFRESH_S)
            n_passes += 1
            messages = self._feed.changed()
            if n_passes % 10 == 0:
                messages.append(self._feed.health())
            for page in self._pages:
                if page.transport.get_write_buffer_size() == 0:
                    page.writelines([encode(message) for message in messages])

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with asyncio.timeout(5.0):
                path, headers = await _read_request(reader)
            status = self._check(path, headers)
            if status:
                writer.write(_response(status, "text/plain", status.encode()))
            elif path == "/live":
                await self._serve_page(reader, writer, headers)
            else:
                name, kind = _FILES[path]
                writer.write(_response("200 OK", kind, _file(name)))
            await writer.drain()
        except (OSError, ServiceError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            pass  # the browser went away or sent nonsense: only its connection ends
        finally:
            self._pages.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _check(self, path: str, headers: Mapping[str, str]) -> str:
        """Why a request is refused; empty if it is not.

        Checking Host stops DNS rebinding, checking Origin stops other sites' pages.
        """
        ours = {f"127.0.0.1:{self._port}", f"localhost:{self._port}"}
        if headers.get("host") not in ours:
            return "403 Forbidden"
        origin = headers.get("origin")
        if origin is not None and origin.removeprefix("http://") not in ours:
            return "403 Forbidden"
        if path == "/live":
            if origin is None or "sec-websocket-key" not in headers:
                return "403 Forbidden"
            return "503 Service Unavailable" if len(self._pages) >= _MAX_PAGES else ""
        return "" if path in _FILES else "404 Not Found"

    async def _serve_page(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        headers: Mapping[str, str],
    ) -> None:
        key = accept_key(headers["sec-websocket-key"])
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + key.encode() + b"\r\n\r\n"
        )
        self._pages.add(writer)
        while True:
            opcode, payload = await read_message(reader)
            if opcode == CLOSE:
                return
            if opcode == PING:
                writer.write(encode(payload, PONG))
            elif opcode == TEXT:
                await self._ask(json.loads(payload))

    async def _ask(self, wish: object) -> None:
        """Send a button's command on to the service, which checks it."""
        if not isinstance(wish, dict) or wish.get("command") not in _ALLOWED:
            return
        arguments = wish.get("arguments", {})
        names = COMMANDS[wish["command"]].parameters
        if not isinstance(arguments, dict) or set(arguments) - set(names):
            return
        number = next(self._ids)
        request = {"schema": SCHEMA, "id": number, "command": wish["command"]}
        await self._control.send(pack({**request, "arguments": arguments}))

    async def _read_replies(self) -> None:
        """Tell every page what came of a command."""
        while True:
            parts = await self._control.recv_multipart()
            try:
                reply = unpack_map(parts[-1], 1 << 16)
            except WireError:
                continue
            text = json.dumps({"reply": {k: v for k, v in reply.items() if k != "schema"}})
            for page in self._pages:
                page.write(encode(text.encode(), TEXT))


def _control_socket(settings: ViewSettings) -> zmq.asyncio.Socket:
    socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
    socket.linger = 0
    connect_securely(socket, settings.server_key, settings.keys)
    socket.connect(settings.control)
    return socket


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    """Path and headers of one GET."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = head[0].split(" ")
    if len(words) != 3 or words[0] != "GET":
        raise ServiceError("a request must be a GET")
    headers = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return urllib.parse.urlsplit(words[1]).path, headers


def _response(status: str, kind: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Security-Policy: {_POLICY}\r\nX-Content-Type-Options: nosniff\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _file(name: str) -> bytes:
    return resources.files("streamvdib.services").joinpath("page", name).read_bytes()
