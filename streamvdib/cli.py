"""The command line: one table of subcommands, each imported only when it is asked for.

A command is a module with ``add_arguments(parser)`` and ``execute(arguments) -> int``. To add
one, write the module and add its line to ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from streamvdib.errors import StreamVdibError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Command(NamedTuple):
    """Where a subcommand lives and what ``--help`` says of it."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "demo": Command("streamvdib.replay.commands.demo", "decode the digit recordings that ship"),
    "run": Command("streamvdib.commands.run", "decode events into natural frames"),
    "info": Command("streamvdib.commands.info", "say what a recording holds"),
    "models": Command("streamvdib.commands.models", "list the models that come with the package"),
    "doctor": Command("streamvdib.commands.doctor", "check this installation"),
}


def _parser(name: str | None) -> argparse.ArgumentParser:
    """The parser; only the subcommand called ``name`` is imported and gets its arguments."""
    parser = argparse.ArgumentParser(
        prog="streamvdib",
        description="Event camera in, natural frames out.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command_name, command in COMMANDS.items():
        subparser = subparsers.add_parser(
            command_name, help=command.summary, description=command.summary
        )
        if command_name == name:
            importlib.import_module(command.module).add_arguments(subparser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        The exit code: 0 done, 1 done and not well (a check failed), 2 bad input or usage,
        130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if not word.startswith("-")), None)
    arguments = _parser(name).parse_args(words)
    module = importlib.import_module(COMMANDS[arguments.command].module)
    try:
        return int(module.execute(arguments))
    except StreamVdibError as error:
        print(f"streamvdib: {error}", file=sys.stderr)  # noqa: T201 - the command line's own output
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
