"""The command line: one table of subcommands, each imported only when it is asked for.

A command is a module with ``add_arguments(parser)`` and ``execute(arguments) -> int``. To add
one, write the module and add its line to ``COMMANDS``.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import select
import sys
from collections.abc import Sequence
from typing import NamedTuple

from streamvdib.configuration import nearest, options_of, prepare
from streamvdib.errors import StreamVdibError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141  # what a shell says of a program that a closed pipe ended
GARBAGE_THRESHOLD = 50_000  # objects made and not freed before they are searched for cycles


class Command(NamedTuple):
    """Where a subcommand lives and what ``--help`` says of it."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "demo": Command("streamvdib.replay.commands.demo", "decode the digit recordings that ship"),
    "run": Command("streamvdib.commands.run", "decode events into natural frames"),
    "train": Command("streamvdib.commands.train", "learn a model offline"),
    "evaluate": Command(
        "streamvdib.replay.commands.evaluate", "score the frames of a data set's recordings"
    ),
    "reproduce": Command("streamvdib.replay.commands.reproduce", "run an experiment again"),
    "info": Command("streamvdib.commands.info", "say what a recording holds"),
    "models": Command("streamvdib.commands.models", "list the models that come with the package"),
    "replay": Command(
        "streamvdib.replay.commands.replay", "play recordings at their pace, as a live source"
    ),
    "simulate": Command("streamvdib.replay.commands.simulate", "make recordings of digits"),
    "datasets": Command("streamvdib.replay.commands.datasets", "describe and check data sets"),
    "serve": Command("streamvdib.services.commands.serve", "serve decoded frames over ZeroMQ"),
    "view": Command("streamvdib.services.commands.view", "watch a running service"),
    "ctl": Command("streamvdib.services.commands.ctl", "ask or tell a running service something"),
    "keys": Command("streamvdib.services.commands.keys", "make CURVE keys, allow clients"),
    "config": Command("streamvdib.services.commands.config", "show the options in force"),
    "rerun": Command("streamvdib.commands.rerun", "repeat a logged session, find differences"),
    "checkpoint": Command("streamvdib.commands.checkpoint", "check a folder of checkpoints"),
    "supervise": Command("streamvdib.commands.supervise", "restart a command that dies or hangs"),
    "soak": Command("streamvdib.commands.soak", "run for long with random faults, and judge"),
    "bench": Command("streamvdib.commands.bench", "measure speed, beside other libraries"),
    "doctor": Command("streamvdib.commands.doctor", "check this installation"),
}


def _parsed(name: str | None, words: Sequence[str]) -> argparse.Namespace:
    """What ``words`` say; an unknown option is told by the command that it was given to."""
    parser, command = _parsers(name, words)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        (command or parser).error(_unknown_option(unknown[0], command or parser))
    return arguments


def _parsers(
    name: str | None, words: Sequence[str] = ()
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser | None]:
    """The parser and that of the subcommand called ``name``, the only one that is imported."""
    parser = argparse.ArgumentParser(
        prog="streamvdib",
        description="Event camera in, natural frames out.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = None
    for command_name, command in COMMANDS.items():
        subparser = subparsers.add_parser(
            command_name, help=command.summary, description=command.summary
        )
        if command_name == name:
            importlib.import_module(command.module).add_arguments(subparser)
            prepare(subparser, name, words, COMMANDS)
            chosen = subparser
    return parser, chosen


def _unknown_option(word: str, parser: argparse.ArgumentParser) -> str:
    """What to say of a word that no option takes."""
    flag = word.partition("=")[0]
    if not flag.startswith("--"):
        return f"{word!r} is neither an option nor an argument that is missing"
    near = nearest(flag.removeprefix("--"), options_of(parser))
    return f"{flag} is not an option; the nearest is --{near}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns:
        The exit code: 0 done, 1 done and not well (a check failed), 2 bad input or usage,
        130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if not word.startswith("-")), None)
    try:
        arguments = _parsed(name, words)
        module = importlib.import_module(COMMANDS[arguments.command].module)
        return int(module.execute(arguments))
    except StreamVdibError as error:
        print(f"streamvdib: {error}", file=sys.stderr)  # noqa: T201 - the command line's own output
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def run_and_exit() -> None:
    """What the shell starts: the program ends when its work does.

    Importing torch and numba makes half a million objects that stay. To search them for garbage
    after every 700, as Python does, took 0.8 s of the 3.3 s to the first frame. A last look of the
    garbage collector at all of them took 0.9 s of the 1.3 s that the interpreter needed to end;
    the system frees them all the same.
    """
    gc.set_threshold(GARBAGE_THRESHOLD)
    code = _main_while_read()
    gc.freeze()
    sys.exit(code)


def _main_while_read() -> int:
    """``main``, which ends without a word where nobody reads what it prints: ``... | head``."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        if not _is_unread(sys.stdout.fileno()):
            raise  # another pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the last flush
        return EXIT_UNREAD
    return code


def _is_unread(descriptor: int) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
