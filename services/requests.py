"""Control requests: one table of commands, and a check that names the field at fault.

A request is one msgpack map ``{schema, id, command, arguments}``. Nothing of it is acted on
before all of it has been checked.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamvdib.configuration import nearest

from .bounds import WireError, kind_of, unpack_map
from .keys import ROLES
from .messages import SCHEMA

MAX_REQUEST_BYTES = 65536
MAX_PARTS = 4
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Models, snapshots and recordings are named, never given by path."""


@dataclass(frozen=True)
class Parameter:
    """One argument of a command: its type and its bounds."""

    kind: type
    required: bool = True
    least: float | None = None
    most: float | None = None
    pattern: str | None = None

    def check(self, path: str, value: object) -> object:
        """``value`` as the command wants it."""
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            names = {float: "a number", int: "an integer", bool: "true or false", str: "text"}
            raise WireError("wrong_type", path, f"must be {names[self.kind]}; got {kind_of(value)}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_range(path, value)
        if self.pattern and not re.fullmatch(self.pattern, str(value)):
            raise WireError(
                "out_of_range", path, f"must match {self.pattern}; got {str(value)[:80]!r}"
            )
        return value

    def _check_range(self, path: str, value: float) -> None:
        if (self.least is not None and value < self.least) or (
            self.most is not None and value > self.most
        ):
            raise WireError(
                "out_of_range", path, f"must be from {self.least} to {self.most}; got {value}"
            )


@dataclass(frozen=True)
class Command:
    """What may be asked, by whom, with which arguments."""

    role: str
    summary: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


_NAME = Parameter(str, pattern=NAME)
_STREAM = Parameter(str, required=False, pattern=NAME)

COMMANDS: dict[str, Command] = {
    "status": Command("view", "state, counters, rates and latencies"),
    "describe": Command("view", "streams, shapes, model, schema", {"stream": _STREAM}),
    "list_models": Command("view", "models that load_model may load"),
    "pause": Command("control", "stop making steps; live input that comes is counted as dropped"),
    "resume": Command("control", "go on making steps"),
    "decode": Command("control", "publish a frame now, besides those that fall due"),
    "set_decode_every": Command(
        "control", "steps from one frame to the next", {"steps": Parameter(int, True, 1, 1_000_000)}
    ),
    "snapshot": Command("control", "write a checkpoint of everything that changes"),
    "load_model": Command("control", "go on with another model", {"name": _NAME}),
    "record_start": Command("control", "write the events that come to a file", {"name": _NAME}),
    "record_stop": Command("control", "end the recording"),
    "reload_keys": Command("control", "read the allow-list again"),
    "shut_down": Command("control", "drain, write a snapshot and end"),
    "learn": Command("learn", "learning on or off", {"on": Parameter(bool)}),
    "set_beta": Command(
        "learn", "weight of the directed information", {"value": Parameter(float, True, 0.0, 1e6)}
    ),
    "set_learning_rate": Command(
        "learn", "step of the optimiser", {"value": Parameter(float, True, 0.0, 10.0)}
    ),
    "roll_back": Command(
        "learn",
        "go back to a checkpoint, the newest if none is named",
        {"checkpoint": Parameter(int, False, 1, 2**53)},
    ),
}


@dataclass(frozen=True)
class Request:
    """A request whose every field was found good."""

    id: int | str
    command: str
    arguments: Mapping[str, Any]


def parse_request(parts: list[bytes]) -> Request:
    """The request in the parts after the sender's identity (an empty delimiter is allowed).

    Raises:
        WireError: with the code and the field at fault, and the request's id if that was good.
    """
    body = parts[1:] if len(parts) > 1 and parts[0] == b"" else parts
    if len(body) != 1:
        raise WireError("too_many_parts", "", f"must be one part; got {len(body)}")
    values = unpack_map(body[0], MAX_REQUEST_BYTES)
    try:
        return _checked(values)
    except WireError as error:
        with contextlib.suppress(WireError):
            error.request_id = request_id(values)
        raise


def request_id(values: Mapping[str, Any]) -> int | str:
    """The id of a request, an integer or at most 64 characters."""
    found = values.get("id")
    if type(found) is int and 0 <= found < 2**63:
        return found
    if type(found) is str and 0 < len(found) <= 64:
        return found
    raise WireError("wrong_type", "id", "must be an integer from 0 or text of 1 to 64 characters")


def may(role: str, command: str) -> bool:
    """Whether ``role`` contains what ``command`` needs; an empty role contains nothing.

    >>> may("control", "status"), may("view", "pause"), may("", "status")
    (True, False, False)
    """
    return role in ROLES and ROLES.index(role) >= ROLES.index(COMMANDS[command].role)


def _checked(values: Mapping[str, Any]) -> Request:
    _check_schema(values.get("schema"))
    unknown = next((n for n in values if n not in ("schema", "id", "command", "arguments")), None)
    if unknown is not None:
        raise WireError("unknown_field", unknown[:64], "is not a field of a request")
    identity = request_id(values)
    name = values.get("command")
    if type(name) is not str:
        raise WireError("wrong_type", "command", f"must be text; got {kind_of(name)}")
    if name not in COMMANDS:
        near = nearest(name[:64], COMMANDS)
        reason = f"{name[:64]!r} is not a command; the nearest is {near!r}"
        raise WireError("unknown_command", "command", reason)
    arguments = values.get("arguments", {})
    if type(arguments) is not dict:
        raise WireError("wrong_type", "arguments", f"must be a map; got {kind_of(arguments)}")
    return Request(identity, name, _checked_arguments(name, arguments))


def _check_schema(schema: object) -> None:
    if type(schema) is not list or len(schema) != 2 or any(type(n) is not int for n in schema):
        raise WireError("wrong_type", "schema", "must be [major, minor]")
    if schema[0] != SCHEMA[0]:
        raise WireError(
            "unsupported_schema", "schema", f"major number must be {SCHEMA[0]}; got {schema[0]}"
        )


def _checked_arguments(command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    parameters = COMMANDS[command].parameters
    for name in arguments:
        if name not in parameters:
            reason = f"is no argument of {command}, which takes {', '.join(parameters) or 'none'}"
            raise WireError("unknown_field", f"arguments.{name[:64]}", reason)
    checked: dict[str, Any] = {}
    for name, parameter in parameters.items():
        path = f"arguments.{name}"
        if name in arguments:
            checked[name] = parameter.check(path, arguments[name])
        elif parameter.required:
            raise WireError("missing_field", path, "must be given; it is missing")
    return checked
