"""Where a service may listen: loopback or ipc by default, elsewhere only with CURVE or a word."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from streamvdib.errors import ConfigurationError, ServiceError

_TCP = re.compile(r"tcp://(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^:\[\]]+):(?P<port>\d{1,5}|\*)")


@dataclass(frozen=True)
class Address:
    """A ZeroMQ address, taken apart."""

    text: str
    transport: str  # "tcp" or "ipc"
    host: str = ""
    port: int = 0  # 0 lets the system choose
    path: str = ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.transport == "ipc" or _is_loopback(self.host)


def parse_address(text: str, name: str = "bind") -> Address:
    """``tcp://HOST:PORT`` or ``ipc://PATH``, or a ``ConfigurationError`` that names the option."""
    if text.startswith("ipc://") and len(text) > len("ipc://"):
        path = text.removeprefix("ipc://")
        if len(os.fsencode(path)) > 100:
            raise ConfigurationError(f"{name} must be a path of at most 100 bytes; got {path}")
        return Address(text, "ipc", path=path)
    match = _TCP.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{name} must be tcp://HOST:PORT or ipc://PATH; got {text!r}, such as "
            "tcp://127.0.0.1:5555"
        )
    port = 0 if match["port"] == "*" else int(match["port"])
    if port > 65535:
        raise ConfigurationError(f"{name} must have a port of at most 65535; got {port}")
    return Address(text, "tcp", host=match["host"].strip("[]"), port=port)


def control_address(data: Address) -> Address:
    """Where control listens unless told: the next port, or the path with ``.control``."""
    if data.transport == "ipc":
        return parse_address(f"{data.text}.control", "control")
    host = f"[{data.host}]" if ":" in data.host else data.host
    port = "*" if data.port in (0, 65535) else str(data.port + 1)
    return parse_address(f"tcp://{host}:{port}", "control")


def check_exposure(address: Address, name: str, *, has_curve: bool, insecure: bool) -> None:
    """Refuse to listen beyond this machine in the clear, unless that was asked for by name."""
    if address.is_local or has_curve or insecure:
        return
    raise ConfigurationError(
        f"{name} must be loopback or ipc, or have CURVE keys; got {address.text}, which other "
        "machines reach. Make keys with 'streamvdib keys' and pass --curve FOLDER, or pass "
        "--insecure to let every machine that reaches it read and control this service"
    )


class AddressLock:
    """Holds an address for one service: a second one is refused while the first lives.

    tcp refuses a second bind by itself. A second ipc bind would silently steal the path, so a
    locked file beside it stands guard; the lock ends with the process, however it ends.
    """

    def __init__(self, address: Address) -> None:
        self._file: int | None = None
        if address.transport != "ipc":
            return
        path = Path(address.path)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, parents=True)
        _check_private(path.parent)
        lock_path = f"{path}.lock"
        self._file = os.open(
            lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            raise ServiceError(
                f"{address.text} must be free; another service holds {lock_path}. Stop it, or "
                "bind to another path"
            ) from error

    def release(self) -> None:
        """Give the address up; safe to call twice."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


def _check_private(folder: Path) -> None:
    """An ipc path is open to whoever may enter its folder."""
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ServiceError(
            f"the folder of an ipc address must be yours with mode 0700; {folder} has owner "
            f"{status.st_uid} and mode {status.st_mode & 0o777:04o}. Make one with "
            "'mkdir -m 700 FOLDER'"
        )


def _is_loopback(host: str) -> bool:
    if host in ("*", "0.0.0.0", "::"):
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # a network interface's name, or one that does not resolve
    return bool(found) and all(ipaddress.ip_address(a).is_loopback for a in found)
