"""A TOML file in place of flags: the same names, checked as strictly, for every command.

    # desk.toml                                   streamvdib serve --config desk.toml
    backend = "numba"        # any command
    [serve]                  # this command only
    bind = "tcp://127.0.0.1:5555"
    decode-every = 5

What stands on the command line wins over the file, and the file over the defaults. Works on
any ``argparse`` parser: it reads the parser's own list of options, so there is no second one
to keep in step.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamvdib.errors import ConfigurationError

CONFIG_FLAG = "--config"
Table = Mapping[str, Any]


def prepare(
    parser: argparse.ArgumentParser, command: str, words: Sequence[str], commands: Iterable[str]
) -> None:
    """Add ``--config FILE`` to a command's parser, and read the file if ``words`` name one.

    Args:
        parser: of the command, with its arguments.
        command: its name, such as ``serve``.
        words: the command line.
        commands: names of all commands, which a file may hold tables for.

    Raises:
        ConfigurationError: the file, a key or a value cannot be meant.
    """
    if CONFIG_FLAG in parser._option_string_actions:  # the command reads the file itself
        return
    parser.add_argument(
        CONFIG_FLAG, metavar="FILE", dest="config_file", help="a TOML file with these options"
    )
    path = _named_file(words)
    if path is not None:
        apply_table(parser, table_of(path, command, commands), where=str(path))


def table_of(path: str, command: str, commands: Iterable[str]) -> dict[str, Any]:
    """The keys of a file that concern ``command``: those at the top and those of its table."""
    import tomllib

    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{CONFIG_FLAG} must name a readable file; {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} must be TOML; {error}") from error
    names = set(commands)
    top = {key: value for key, value in found.items() if key not in names}
    for name, value in top.items():
        if isinstance(value, dict):
            raise ConfigurationError(
                f"{path}: a table must be named as a command; got [{name}], the nearest is "
                f"[{nearest(name, names)}]"
            )
    for name in names & set(found):
        if not isinstance(found[name], dict):
            raise ConfigurationError(f"{path}: {name} must be a table; got {_kind(found[name])}")
    return top | dict(found.get(command, {}))


def apply_table(parser: argparse.ArgumentParser, table: Table, *, where: str) -> None:
    """Make the values of ``table`` the defaults of ``parser``, each checked by its option."""
    actions = options_of(parser)
    for key, value in table.items():
        action = actions.get(key.replace("_", "-"))
        if action is None:
            raise ConfigurationError(
                f"{where}: {key!r} is not an option of {parser.prog}; the nearest is "
                f"{nearest(key, actions)!r}"
            )
        action.default = _checked(action, value, f"{where}: {key}")
        action.required = False
        if not action.option_strings and action.nargs in (None, "+"):
            action.nargs = "?" if action.nargs is None else "*"


def options_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """Every option and positional argument by the name that a file gives it."""
    found: dict[str, argparse.Action] = {}
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._VersionAction)):
            continue
        long = [flag for flag in action.option_strings if flag.startswith("--")]
        name = long[0].removeprefix("--") if long else action.dest.replace("_", "-")
        if f"--{name}" != CONFIG_FLAG:
            found[name] = action
    return found


def effective_toml(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, table: Table, command: str
) -> str:
    """The configuration in force as TOML, each line with where it comes from.

    Args:
        parser: of the command.
        arguments: what it parsed.
        table: what the file gave.
        command: name of the table that is written.
    """
    given = {key.replace("_", "-"): value for key, value in table.items()}
    lines = [f"[{command}]"]
    for name, action in options_of(parser).items():
        value = getattr(arguments, action.dest, None)
        if value is None:
            lines.append(f"# {name} is not set")
            continue
        origin = "command line"
        if name in given and value == _checked(action, given[name], name):
            origin = "file"
        elif name not in given and value == action.default:
            origin = "default"
        lines.append(f"{name} = {_toml(value)}  # {origin}")
    return "\n".join(lines) + "\n"


def _named_file(words: Sequence[str]) -> str | None:
    """The file after ``--config``, read before the parser is complete."""
    found = None
    for position, word in enumerate(words):
        if word == "--":
            break
        if word == CONFIG_FLAG and position + 1 < len(words):
            found = words[position + 1]
        elif word.startswith(f"{CONFIG_FLAG}="):
            found = word.partition("=")[2]
    return found


def nearest(key: str, known: Iterable[str]) -> str:
    """The known name that resembles ``key`` most."""
    import difflib

    matches = difflib.get_close_matches(key.replace("_", "-"), list(known), n=1, cutoff=0.0)
    return matches[0]


def _checked(action: argparse.Action, value: object, where: str) -> object:
    """``value`` as the option would hold it after parsing."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        _require(isinstance(value, bool), where, "true or false", value)
        return value
    takes_many = action.nargs in ("+", "*") or isinstance(action.nargs, int)
    if takes_many or isinstance(action, argparse._AppendAction):
        items = value if isinstance(value, list) else [value]
        return [_checked_item(action, item, where) for item in items]
    return _checked_item(action, value, where)


def _checked_item(action: argparse.Action, value: object, where: str) -> object:
    kind = action.type
    if kind is int:
        _require(type(value) is int, where, "an integer", value)
    elif kind is float:
        _require(type(value) in (int, float), where, "a number", value)
        value = float(value)  # type: ignore[arg-type]
    elif kind is None or kind is str:
        _require(isinstance(value, str), where, "text in quotes", value)
    elif callable(kind):
        value = _converted(kind, value, where)
    if action.choices is not None:
        choices = list(action.choices)
        _require(value in choices, where, f"one of {', '.join(map(str, choices))}", value)
    return value


def _converted(kind: Any, value: object, where: str) -> object:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        _require(False, where, "text or a number", value)
    try:
        converted: object = kind(str(value))
    except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
        raise ConfigurationError(f"{where} must be {_said(error)}; got {value!r}") from error
    return converted


def _said(error: BaseException) -> str:
    return str(error) or "a value of its kind"


def _require(holds: bool, where: str, wanted: str, value: object) -> None:
    if not holds:
        raise ConfigurationError(f"{where} must be {wanted}; got {_kind(value)} {value!r}")


def _kind(value: object) -> str:
    names = {bool: "the truth value", int: "the integer", float: "the number", str: "the text"}
    names |= {list: "the array", dict: "the table"}
    return names.get(type(value), f"the {type(value).__name__}")


def _toml(value: object) -> str:
    """A TOML value."""
    import json

    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(str(value), ensure_ascii=False)
