"""Commands between packets that a rerun repeats; others are logged with the state they leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streamvdib.engine import Engine
from streamvdib.errors import RecordingError


def _set_decode_every(engine: Engine, arguments: Mapping[str, Any]) -> None:
    engine.decode_every = int(arguments["steps"])


CONTROLS: dict[str, Callable[[Engine, Mapping[str, Any]], None]] = {
    "decode_every": _set_decode_every,
    "restart": lambda engine, _: engine.restart(),
}


def apply_control(engine: Engine, name: str, arguments: Mapping[str, Any]) -> None:
    """Execute a logged command.

    Commands that are not in ``CONTROLS`` change nothing here: the STATE record after them does.

    Raises:
        RecordingError: the arguments are not those of the command.
    """
    if name in CONTROLS:
        try:
            CONTROLS[name](engine, arguments)
        except (KeyError, TypeError, ValueError) as error:
            raise RecordingError(f"command {name!r} cannot be repeated: {error!r}") from error
