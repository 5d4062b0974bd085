"""``streamvdib ctl COMMAND [NAME=VALUE...]``: ask a running service, or tell it something."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from streamvdib.errors import ConfigurationError

if TYPE_CHECKING:
    from ..keys import KeyPair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "request", metavar="COMMAND", help="such as status, pause, set_beta; 'help' lists them"
    )
    parser.add_argument("values", nargs="*", metavar="NAME=VALUE", help="such as value=0.01")
    parser.add_argument(
        "--control", default="tcp://127.0.0.1:5556", metavar="ADDRESS", help="(%(default)s)"
    )
    parser.add_argument("--timeout-s", type=float, default=5.0, help="(%(default)s)")
    add_key_arguments(parser)


def add_key_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of a client of a service with CURVE."""
    group = parser.add_argument_group("CURVE")
    group.add_argument("--server-key", metavar="KEY", help="the service's public key, or its file")
    group.add_argument("--secret-key", metavar="FILE", help="this client's secret key")


def execute(arguments: argparse.Namespace) -> int:
    """Send one request and print its result as JSON; 1 if the service refuses."""
    from ..bounds import WireError
    from ..control_client import ControlClient
    from ..requests import COMMANDS

    if arguments.request == "help":
        for name, command in COMMANDS.items():
            names = " ".join(f"{n}=..." for n in command.parameters)
            print(f"{name + ' ' + names:32} {command.summary} ({command.role})")  # noqa: T201
        return 0
    server_key, keys = chosen_keys(arguments)
    values = dict(_value(word) for word in arguments.values)
    with ControlClient(
        arguments.control, timeout_s=arguments.timeout_s, server_key=server_key, keys=keys
    ) as client:
        try:
            result = client.ask(arguments.request, **values)
        except WireError as error:
            refusal = {"error": error.code, "field": error.field, "message": error.reason}
            print(json.dumps(refusal, indent=2))  # noqa: T201 - the command's output
            return 1
    print(json.dumps(result, indent=2))  # noqa: T201 - the command's output
    return 0


def chosen_keys(arguments: argparse.Namespace) -> tuple[bytes | None, KeyPair | None]:
    """The service's public key and this client's pair; None for each that is not given."""
    from pathlib import Path

    from ..keys import read_key_pair, read_public_key

    server_key = read_public_key(arguments.server_key) if arguments.server_key else None
    keys = read_key_pair(Path(arguments.secret_key)) if arguments.secret_key else None
    return server_key, keys


def _value(word: str) -> tuple[str, object]:
    """``NAME=VALUE``: VALUE is JSON where it can be (numbers, true, false), else text."""
    name, equals, text = word.partition("=")
    if not equals:
        raise ConfigurationError(f"an argument must read NAME=VALUE; got {word!r}")
    try:
        return name, json.loads(text)
    except json.JSONDecodeError:
        return name, text
