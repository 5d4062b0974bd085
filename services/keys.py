"""CURVE keys on disk, and which client key may do what.

A folder of keys holds ``server.key`` and ``server.key_secret`` (mode 0600), and the allow-list
``clients``: a line ``ROLE KEY [NAME]`` per client, ``#`` begins a comment. Roles contain one
another: ``view`` reads frames, ``control`` also operates the service, ``learn`` also changes
what it learns.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq

from streamvdib.errors import ConfigurationError

ROLES = ("view", "control", "learn")
"""From the least to the most that a client may do."""

SERVER_NAME = "server"
ALLOW_LIST = "clients"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_KEY = re.compile(rb"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")  # Z85, RFC 32


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair, 40 characters of Z85 each."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r}, secret=...)"


def make_key_pair() -> KeyPair:
    """A fresh key pair; libsodium draws it."""
    return KeyPair(*zmq.curve_keypair())


def write_key_pair(folder: Path, name: str, pair: KeyPair) -> tuple[Path, Path]:
    """Write ``name.key`` and ``name.key_secret``; existing keys are never overwritten.

    Returns:
        The paths of the public file and of the secret one, which has mode 0600.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"a key's name must be letters, digits, '._-'; got {name!r}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    _write_new(secret, pair.secret, 0o600)
    _write_new(public, pair.public, 0o644)
    return public, secret


def read_key_pair(secret_path: Path) -> KeyPair:
    """The pair whose secret is in ``secret_path``; refused if others may read the file."""
    mode = _existing(secret_path).stat().st_mode
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigurationError(
            f"a secret key must have mode 0600; {secret_path} has {stat.S_IMODE(mode):04o}. "
            f"Run 'chmod 600 {secret_path}', and make new keys if others could read it"
        )
    secret = _read_key(secret_path)
    return KeyPair(zmq.curve_public(secret), secret)


def read_public_key(text_or_path: str) -> bytes:
    """A public key given as its 40 characters or as the path of its file."""
    if _KEY.fullmatch(text_or_path.encode()):
        return text_or_path.encode()
    path = Path(text_or_path)
    if path.suffix == ".key_secret":
        raise ConfigurationError(f"a public key is needed; {path} is a secret one")
    return _read_key(_existing(path))


def read_allow_list(path: Path) -> dict[bytes, str]:
    """Role by public key. A file that is absent allows nobody."""
    if not path.exists():
        return {}
    roles: dict[bytes, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = [] if line.lstrip().startswith("#") else line.split()
        if not words:
            continue
        if len(words) < 2 or words[0] not in ROLES or not _KEY.fullmatch(words[1].encode()):
            raise ConfigurationError(
                f"{path}:{number} must read 'ROLE KEY [NAME]' with ROLE one of "
                f"{', '.join(ROLES)} and KEY of 40 characters; got {line[:80]!r}"
            )
        roles[words[1].encode()] = words[0]
    return roles


def allow(path: Path, key: bytes, role: str, name: str = "") -> None:
    """Append a client to the allow-list, or change its role by a later line."""
    if role not in ROLES:
        raise ConfigurationError(f"role must be one of {', '.join(ROLES)}; got {role!r}")
    with open(path, "a", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
        file.write(f"{role} {key.decode()} {name}\n".replace(" \n", "\n"))


def _write_new(path: Path, key: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} exists and keys are not overwritten. Choose another name or folder"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(key + b"\n")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ConfigurationError(f"a key file must exist; {path} does not. Run 'streamvdib keys'")
    return path


def _read_key(path: Path) -> bytes:
    key = path.read_bytes()[:100].strip()
    if not _KEY.fullmatch(key):
        raise ConfigurationError(f"{path} must hold one key of 40 characters; it does not")
    return key
