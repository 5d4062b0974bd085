"""The ZAP authenticator (ZeroMQ RFC 27): who may connect, counted, reloadable while it runs.

CURVE without a ZAP handler lets every client key in, so one always runs, and each socket has a
domain and ZAP_ENFORCE_DOMAIN: no answer means no connection. The role of a client travels with
its messages as ``User-Id``.
"""

from __future__ import annotations

import collections
import contextlib
import ipaddress
import logging
import threading
from collections.abc import Mapping

import zmq
import zmq.utils.z85

from .keys import ROLES, KeyPair

_LOG = logging.getLogger(__name__)
_ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"streamvdib"


class Authenticator:
    """Answers the sockets of one context from a thread of its own.

    Args:
        context: whose sockets are guarded.
        server: the service's key pair; None for sockets without CURVE.
        roles: role by client public key (Z85), with CURVE.
        open_role: role of every client that a socket without CURVE lets in.
        is_local: without CURVE, whether only peers on this machine are let in.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        server: KeyPair | None,
        roles: Mapping[bytes, str],
        *,
        open_role: str = ROLES[-1],
        is_local: bool = True,
    ) -> None:
        self._server = server
        self._roles = dict(roles)
        self._open_role = open_role
        self._is_local = is_local
        self._lock = threading.Lock()
        self.n_let_in = 0
        self.n_refused: collections.Counter[str] = collections.Counter()
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(_ENDPOINT)
        self._stop_in = context.socket(zmq.PAIR)
        self._stop_out = context.socket(zmq.PAIR)
        self._stop_in.linger = self._stop_out.linger = 0
        self._stop_in.bind(f"inproc://zap-stop-{id(self)}")
        self._stop_out.connect(f"inproc://zap-stop-{id(self)}")
        self._thread = threading.Thread(target=self._run, name="zap", daemon=True)
        self._thread.start()

    def secure(self, socket: zmq.Socket[bytes]) -> None:
        """Put ``socket`` under this authenticator; call before it binds."""
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        if self._server is not None:
            socket.curve_server = True
            socket.curve_secretkey = self._server.secret

    def reload(self, roles: Mapping[bytes, str]) -> None:
        """Replace the allow-list. Connections that stand keep standing; new ones are judged."""
        with self._lock:
            self._roles = dict(roles)

    def role_of(self, user: str) -> str:
        """The role that the user of a message has *now*: a key taken off the list has none."""
        kind, _, key = user.partition(":")
        if kind == "open" and self._server is None:
            return self._open_role
        with self._lock:
            return self._roles.get(key.encode(), "")

    def close(self) -> None:
        """Stop answering; safe to call twice."""
        if self._thread.is_alive():
            self._stop_out.send(b"")
            self._thread.join()
        self._stop_out.close()

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._stop_in, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if self._stop_in in ready:
                break
            parts = self._socket.recv_multipart()
            with contextlib.suppress(zmq.ZMQError):
                self._socket.send_multipart(self._answer(parts))
        self._socket.close()
        self._stop_in.close()

    def _answer(self, parts: list[bytes]) -> list[bytes]:
        """The reply to one request: [route, '', version, id, domain, address, id, mechanism...]."""
        envelope, request = parts[:2], parts[2:]
        request_id = request[1] if len(request) > 1 else b""
        user, reason = self._judge(request)
        with self._lock:
            if user:
                self.n_let_in += 1
            else:
                self.n_refused[reason] += 1
        if not user:
            _LOG.warning("connection refused", extra={"reason": reason})
        status, text = (b"200", b"OK") if user else (b"400", reason.encode())
        return [*envelope, b"1.0", request_id, status, text, user.encode(), b""]

    def _judge(self, request: list[bytes]) -> tuple[str, str]:
        """The user id of a connection, or why there is none."""
        if len(request) < 6 or request[0] != b"1.0" or request[2] != DOMAIN:
            return "", "malformed"
        address, mechanism = request[3], request[5]
        if self._server is None:
            if mechanism != b"NULL":
                return "", "wrong mechanism"
            if self._is_local and not _is_this_machine(address):
                return "", "not this machine"
            return "open:", ""
        if mechanism != b"CURVE" or len(request) != 7 or len(request[6]) != 32:
            return "", "wrong mechanism"
        key = zmq.utils.z85.encode(request[6])
        with self._lock:
            known = key in self._roles
        return (f"curve:{key.decode()}", "") if known else ("", "unknown key")


def _is_this_machine(address: bytes) -> bool:
    """Whether ZAP's address is loopback: an IP, or ``localhost:UID:GID:PID`` for ipc."""
    text = address.decode(errors="replace").partition("%")[0]
    if text == "" or text.startswith("localhost:"):
        return True
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
