"""``streamvdib config show COMMAND ...``: the options in force, and where each comes from."""

from __future__ import annotations

import argparse
import importlib

from streamvdib.cli import COMMANDS
from streamvdib.configuration import effective_toml, prepare, table_of
from streamvdib.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("action", choices=("show",), help="print the options in force as TOML")
    parser.add_argument("of", nargs="?", default="serve", metavar="COMMAND", help="(%(default)s)")
    parser.add_argument("--config", metavar="FILE", dest="config_file", help="read this file")
    parser.add_argument(
        "rest",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="options of that command, --config FILE among them",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Parse as the command would, and print what came of it."""
    name, words = arguments.of, list(arguments.rest)
    if arguments.config_file:
        words = ["--config", arguments.config_file, *words]
    if name not in COMMANDS or name == "config":
        raise ConfigurationError(f"a command must be one of {', '.join(COMMANDS)}; got {name!r}")
    parser = argparse.ArgumentParser(prog=f"streamvdib {name}", exit_on_error=False)
    importlib.import_module(COMMANDS[name].module).add_arguments(parser)
    prepare(parser, name, words, COMMANDS)
    for action in parser._actions:  # showing needs no source: what is missing is shown as not set
        if not action.option_strings and action.nargs in (None, "+"):
            action.nargs = "?" if action.nargs is None else "*"
        action.required = False
    parsed = parser.parse_args(words)
    table = table_of(parsed.config_file, name, COMMANDS) if parsed.config_file else {}
    print(effective_toml(parser, parsed, table, name), end="")  # noqa: T201 - the command's output
    return 0
