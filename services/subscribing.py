"""A subscriber's socket: which topics, which options, which keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zmq

from streamvdib.errors import ConfigurationError, ServiceError

from .keys import KeyPair
from .messages import (
    KINDS,
    SERVICE_STREAM,
    ZMTP_HEARTBEAT_MS,
    ZMTP_PATIENCE_MS,
    checked_stream_name,
)

_OPTIONS = {
    zmq.RCVHWM: 0,  # with heartbeats, a queue that may fill ends the process: see ``reading``
    zmq.HEARTBEAT_IVL: ZMTP_HEARTBEAT_MS,
    zmq.HEARTBEAT_TIMEOUT: ZMTP_PATIENCE_MS,
    zmq.MAXMSGSIZE: 64 << 20,
    zmq.LINGER: 0,
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 500,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 2,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: 3,
}


def subscriptions(streams: Sequence[str], kinds: Sequence[str]) -> list[bytes]:
    """Topic prefixes of these kinds of these streams; of every stream if none is named."""
    for name, given in (("streams", streams), ("kinds", kinds)):
        if isinstance(given, str):
            raise ConfigurationError(f"{name} must be several names, such as ({given!r},); got one")
    for stream in streams:
        checked_stream_name(stream)
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(f"kinds must be among {', '.join(KINDS)}; got {kind!r}")
    prefixes = [f"{kind}/{s}/".encode() for kind in kinds for s in streams]
    if not streams:
        prefixes = [f"{kind}/".encode() for kind in kinds]
    return [*prefixes, f"heartbeat/{SERVICE_STREAM}/".encode()]


def connect_securely(
    socket: zmq.Socket[Any], server_key: bytes | None, keys: KeyPair | None
) -> None:
    """Give a client's socket its CURVE keys; a fresh pair if only the server's key is given."""
    if server_key is None:
        return
    public, secret = (keys.public, keys.secret) if keys else zmq.curve_keypair()
    socket.setsockopt(zmq.CURVE_SERVERKEY, server_key)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, secret)


def open_subscriber(
    address: str, prefixes: Sequence[bytes], server_key: bytes | None, keys: KeyPair | None
) -> zmq.Socket[bytes]:
    """A SUB socket, connected and subscribed, in a context of its own.

    Raises:
        ServiceError: the address is none.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    for option, value in _OPTIONS.items():
        socket.setsockopt(option, value)
    for prefix in prefixes:
        socket.setsockopt(zmq.SUBSCRIBE, prefix)
    connect_securely(socket, server_key, keys)
    connect(socket, address)
    return socket


def connect(socket: zmq.Socket[bytes], address: str) -> None:
    """Connect; a socket that cannot be is closed with its context.

    Raises:
        ServiceError: the address is none.
    """
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        socket.context.term()
        raise ServiceError(f"an address must be tcp://HOST:PORT or ipc://PATH; {error}") from error
