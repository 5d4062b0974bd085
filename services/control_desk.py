"""The control socket: a ROUTER that answers every request, good or bad, and nothing twice.

Bad messages are answered with a typed error that names the field; floods are counted and not
answered past the rate, so that a stranger cannot make the service work for it.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, NamedTuple

import zmq

from streamvdib.errors import StreamVdibError

from .bounds import WireError, pack
from .limits import TokenBucket, TokenBuckets
from .messages import SCHEMA
from .requests import COMMANDS, MAX_PARTS, MAX_REQUEST_BYTES, Request, may, parse_request

_LOG = logging.getLogger(__name__)
_ANSWER_WITHIN_S = 10.0
_MESSAGES_PER_PASS = 200
REQUESTS_PER_S = 200.0

Handler = Callable[[Request], "dict[str, Any] | Future[dict[str, Any]]"]


class _Asker(NamedTuple):
    """Where an answer goes."""

    peer: bytes
    delimiter: list[bytes]
    request_id: int | str | None


@dataclass
class _Waiting:
    """A request whose operation the engine's thread has still to execute."""

    asker: _Asker
    command: str
    future: Future[dict[str, Any]]
    give_up_s: float


class ControlDesk:
    """Owns the ROUTER; used by the I/O thread.

    Memory: at most 64 waiting requests, 1,024 rates.

    Args:
        context: of the service.
        handle: executes a checked and permitted request.
        role_of: the role of a message's ``User-Id``.
        secure: puts the socket under the authenticator.
        rate_hz: requests per second and connection that are answered; ten times it in all.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        handle: Handler,
        role_of: Callable[[str], str],
        secure: Callable[[zmq.Socket[bytes]], None],
        rate_hz: float = REQUESTS_PER_S,
    ) -> None:
        self._handle = handle
        self._role_of = role_of
        self._rates = TokenBuckets(rate_hz, burst=int(2 * rate_hz))
        self._total_rate = TokenBucket(10 * rate_hz, burst=int(10 * rate_hz))
        self._notices = TokenBuckets(rate_hz=1.0, burst=1)
        self._waiting: list[_Waiting] = []
        self.n_requests = 0
        self.n_refused: collections.Counter[str] = collections.Counter()
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        self.socket.setsockopt(zmq.RCVHWM, 64)
        self.socket.setsockopt(zmq.SNDHWM, 64)
        self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self.socket.setsockopt(zmq.LINGER, 0)
        secure(self.socket)

    @property
    def is_waiting(self) -> bool:
        """Whether answers from the engine's thread are outstanding."""
        return bool(self._waiting)

    def serve(self) -> None:
        """Answer what has come in, and what the engine's thread has done since."""
        self._answer_waiting()
        for _ in range(_MESSAGES_PER_PASS):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._serve_one(frames)

    def close(self) -> None:
        """Answer what is done and close."""
        self._answer_waiting()
        self.socket.close(linger=200)

    def _serve_one(self, frames: list[zmq.Frame]) -> None:
        peer, rest = frames[0].bytes, [frame.bytes for frame in frames[1 : MAX_PARTS + 1]]
        asker = _Asker(peer, rest[:1] if len(rest) > 1 and rest[0] == b"" else [], None)
        if not (self._rates.take(peer) and self._total_rate.take()):
            self.n_refused["too_many_requests"] += 1
            if self._notices.take(peer):
                self._reply_error(asker, "too_many_requests", "", "send fewer requests a second")
            return
        self.n_requests += 1
        try:
            if len(frames) > MAX_PARTS:
                raise WireError("too_many_parts", "", f"must be at most {MAX_PARTS} parts")
            request = parse_request(rest)
            self._check_role(request, _user_id(frames[-1]))
        except WireError as error:
            self.n_refused[error.code] += 1
            asker = asker._replace(request_id=error.request_id)
            self._reply_error(asker, error.code, error.field, error.reason)
        else:
            self._execute(asker._replace(request_id=request.id), request)

    def _check_role(self, request: Request, user: str) -> None:
        role = self._role_of(user)
        if not may(role, request.command):
            reason = f"{request.command} is not for the role {role or 'none'!r}"
            error = WireError("forbidden", "command", reason)
            error.request_id = request.id
            raise error

    def _execute(self, asker: _Asker, request: Request) -> None:
        try:
            result = self._handle(request)
        except queue.Full:
            self._reply_error(asker, "busy", "", "64 requests wait for the engine; try later")
        except WireError as error:
            self._reply_error(asker, error.code, error.field, error.reason)
        except StreamVdibError as error:
            self._reply_error(asker, "failed", "", str(error)[:1000])
        else:
            if isinstance(result, Future):
                give_up_s = time.monotonic() + _ANSWER_WITHIN_S
                self._waiting.append(_Waiting(asker, request.command, result, give_up_s))
            else:
                if COMMANDS[request.command].role != "view":
                    _LOG.info("command done", extra={"command": request.command})
                self._reply(asker, {"ok": True, "result": result})

    def _answer_waiting(self) -> None:
        still: list[_Waiting] = []
        for one in self._waiting:
            if one.future.done():
                self._answer_done(one)
            elif time.monotonic() > one.give_up_s and one.future.cancel():
                self._reply_error(one.asker, "busy", "", "the engine did not answer in time")
            else:
                still.append(one)
        self._waiting = still

    def _answer_done(self, one: _Waiting) -> None:
        try:
            result: Mapping[str, Any] = one.future.result()
        except CancelledError:
            self._reply_error(one.asker, "closing", "", "the service is closing")
        except Exception as error:  # told to the one who asked, and logged
            _LOG.warning("command failed", extra={"command": one.command, "error": str(error)})
            self._reply_error(one.asker, "failed", "", str(error)[:1000])
        else:
            _LOG.info("command done", extra={"command": one.command})
            self._reply(one.asker, {"ok": True, "result": result})

    def _reply_error(self, asker: _Asker, code: str, field: str, reason: str) -> None:
        error = {"code": code, "field": field, "message": reason}
        self._reply(asker, {"ok": False, "error": error})

    def _reply(self, asker: _Asker, values: dict[str, Any]) -> None:
        body = pack({"schema": SCHEMA, "id": asker.request_id, **values})
        with contextlib.suppress(zmq.ZMQError):  # the peer has gone
            self.socket.send_multipart([asker.peer, *asker.delimiter, body], zmq.NOBLOCK)


def _user_id(frame: zmq.Frame) -> str:
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""
