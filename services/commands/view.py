"""``streamvdib view``: watch a running service, here or elsewhere, in a page or a terminal."""

from __future__ import annotations

import argparse

from .ctl import add_key_arguments, chosen_keys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "address", nargs="?", default="tcp://127.0.0.1:5555", help="of the frames (%(default)s)"
    )
    parser.add_argument("--control", help="address of control (the port, or path, after it)")
    parser.add_argument("--term", action="store_true", help="in this terminal")
    parser.add_argument("--port", type=int, default=8765, help="of the page (%(default)s)")
    parser.add_argument("--seconds", type=float, help="stop after this long (terminal)")
    add_key_arguments(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Show until interrupted."""
    from ..addresses import control_address, parse_address
    from ..view.settings import ViewSettings

    data = parse_address(arguments.address, "ADDRESS")
    server_key, keys = chosen_keys(arguments)
    settings = ViewSettings(
        data=data.text,
        control=arguments.control or control_address(data).text,
        port=arguments.port,
        server_key=server_key,
        keys=keys,
    )
    if arguments.term:
        from ..view.terminal import show

        show(settings, seconds=arguments.seconds)
        return 0
    from ..view.page import serve

    serve(settings, announce=lambda url: print(url, flush=True))  # noqa: T201 - the output
    return 0
