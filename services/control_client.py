"""Asks a running service: one request, one answer."""

from __future__ import annotations

import itertools
import time
from types import TracebackType
from typing import Any

import msgpack
import zmq

from streamvdib.errors import ServiceError

from .bounds import WireError, pack
from .keys import KeyPair
from .messages import SCHEMA
from .subscribing import connect, connect_securely


class ControlClient:
    """A DEALER to the control socket of a service; blocking.

    Args:
        address: of the control socket.
        timeout_s: how long an answer may take.
        server_key: the service's public key, with CURVE.
        keys: this client's; the allow-list of the service gives it its role.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = 5.0,
        server_key: bytes | None = None,
        keys: KeyPair | None = None,
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        connect_securely(self._socket, server_key, keys)
        connect(self._socket, address)

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The result of a command.

        Raises:
            WireError: the service refused; ``code`` and ``field`` say why.
            ServiceError: no answer in time.
        """
        number = next(self._ids)
        request = {"schema": SCHEMA, "id": number, "command": command, "arguments": arguments}
        self._socket.send(pack(request))
        give_up_s = time.monotonic() + self._timeout_s
        while (left_s := give_up_s - time.monotonic()) > 0:
            if not self._socket.poll(max(1, int(left_s * 1000))):
                break
            reply = msgpack.unpackb(self._socket.recv_multipart()[-1], max_ext_len=0)
            if reply.get("id") not in (number, None):
                continue  # the answer to a question given up before
            if reply.get("ok"):
                return dict(reply["result"])
            error = reply["error"]
            raise WireError(error["code"], error["field"], error["message"])
        raise ServiceError(
            f"a service must answer at {self._address} within {self._timeout_s:g} s; none did. "
            "Check the address, and the keys if it uses CURVE"
        )

    def close(self) -> None:
        """Disconnect; safe to call twice."""
        self._socket.close(linger=0)
        self._context.term()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
