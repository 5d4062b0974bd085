"""Logs on standard error: text for people, or one JSON object per line for machines."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import TextIO

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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


def log_to(stream: TextIO | None = None, *, style: str = "text", level: str = "info") -> None:
    """Send the logs of this package to ``stream``, standard error unless given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logger = logging.getLogger("streamvdib")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
