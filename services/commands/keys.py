"""``streamvdib keys FOLDER [CLIENT]``: a service's CURVE keys, and clients on its allow-list."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamvdib.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("folder", help="where the service's keys and its list of clients are")
    parser.add_argument(
        "client",
        nargs="?",
        help="also make keys for a client of this name and put it on the list",
    )
    parser.add_argument(
        "--role",
        default="view",
        choices=("view", "control", "learn"),
        help="what the client may do; each contains the ones before (%(default)s)",
    )
    parser.add_argument(
        "--allow", metavar="KEY", help="put this public key (or its file) on the list instead"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Make what is missing; never overwrite a key."""
    from ..keys import ALLOW_LIST, SERVER_NAME, allow, make_key_pair, read_public_key
    from ..keys import write_key_pair as write

    folder = Path(arguments.folder)
    if arguments.client == SERVER_NAME:
        raise ConfigurationError(f"a client's name must not be {SERVER_NAME!r}; choose another")
    if not (folder / f"{SERVER_NAME}.key_secret").exists():
        public, secret = write(folder, SERVER_NAME, make_key_pair())
        _say(f"service: {public} (give it to clients) and {secret} (mode 0600, keep it)")
    if arguments.allow:
        allow(folder / ALLOW_LIST, read_public_key(arguments.allow), arguments.role)
        _say(f"allowed {arguments.allow} as {arguments.role} in {folder / ALLOW_LIST}")
    elif arguments.client:
        pair = make_key_pair()
        _, secret = write(folder, arguments.client, pair)
        allow(folder / ALLOW_LIST, pair.public, arguments.role, arguments.client)
        _say(f"client: {secret} (give it to {arguments.client} alone) as {arguments.role}")
    _say("a running service reads the list again on 'streamvdib ctl reload_keys' or SIGHUP")
    return 0


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the command's output
