"""Logs on standard error: text for people, or one JSON object per line for machines.

The session's log is another thing: what ``--session-log`` writes, for ``streamvdib rerun``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import sys

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_STYLES = ("text", "json")
_LEVELS = ("debug", "info", "warning", "error")


def add_log_arguments(group: argparse._ArgumentGroup) -> None:
    """Add how this command logs, the same for every command that runs long."""
    group.add_argument(
        "--log", type=_style, default="text", metavar="STYLE", help="text or json (%(default)s)"
    )
    group.add_argument("--log-level", choices=_LEVELS, default="info", help="(%(default)s)")


def add_session_log_argument(group: argparse._ArgumentGroup) -> None:
    """Add the folder of the session's log."""
    group.add_argument(
        "--session-log", metavar="DIR", help="log the session there, for streamvdib rerun"
    )


def _style(word: str) -> str:
    """A style of logs; ``--log`` took a folder once."""
    if word not in _STYLES:
        raise argparse.ArgumentTypeError(
            f"text or json, and not {word!r}; a folder for the session's log is --session-log DIR"
        )
    return word


class JsonFormatter(logging.Formatter):
    """``{"time", "level", "logger", "message", ...}`` with whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        values: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            values["exception"] = self.formatException(record.exc_info)
        return json.dumps(values, default=str)


class TextFormatter(logging.Formatter):
    """``time level message key=value ...``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of text."""
        moment = datetime.datetime.fromtimestamp(record.created)
        extras = "".join(f" {name}={value}" for name, value in _extras(record).items())
        line = f"{moment:%H:%M:%S} {record.levelname.lower()} {record.getMessage()}{extras}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _StandardError(logging.Handler):
    """Writes to what standard error is at the time: a command may be run where it is replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201 - its purpose


def log_to_standard_error(style: str, level: str) -> None:
    """Send the logs of this package there, from now on."""
    handler = _StandardError()
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("streamvdib")
    logger.handlers = [handler]
    logger.setLevel(level.upper())


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
