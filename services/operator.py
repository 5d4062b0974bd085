"""What each control command does; called in the I/O thread with requests found good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .bounds import WireError
from .messages import KINDS, SCHEMA
from .requests import Request
from .runtime import Runtime
from .station import Result


class Operator:
    """Executes commands: at once where that is safe, else between two packets.

    Args:
        runtime: what is operated.
        about: what the service says of itself (addresses, run, subscribers, refusals).
        list_models: names that ``load_model`` may load.
        reload_keys: reads the allow-list again; how many clients are on it.
        shut_down: begins the end.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        about: Callable[[], Mapping[str, Any]],
        list_models: Callable[[], Sequence[str]],
        reload_keys: Callable[[], int],
        shut_down: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._about = about
        self._list_models = list_models
        self._reload_keys = reload_keys
        self._shut_down = shut_down
        self._at_once: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "status": self._status,
            "describe": self._describe,
            "list_models": lambda _: {"models": list(self._list_models())[:64]},
            "pause": lambda _: self._pause(True),
            "resume": lambda _: self._pause(False),
            "reload_keys": lambda _: {"clients": self._reload_keys()},
            "shut_down": self._end,
        }

    def handle(self, request: Request) -> Result:
        """Do what ``request`` asks.

        Raises:
            StreamVdibError: it cannot be done; nothing has changed.
            queue.Full: too much waits for the engine.
        """
        at_once = self._at_once.get(request.command)
        if at_once is not None:
            return at_once(request.arguments)
        if request.command == "decode":
            return self._runtime.submit(self._runtime.decode_now)
        return self._runtime.submit(lambda: self._operate(request))

    def _status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        runtime = self._runtime
        return {
            **runtime.stats,
            "state": runtime.tally.pulse.state,
            "step": runtime.tally.pulse.step,
            "generation": runtime.reading.generation,
            **self._about(),
        }

    def _describe(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        wanted = arguments.get("stream")
        if wanted is not None and wanted not in self._runtime.descriptions:
            names = ", ".join(self._runtime.descriptions)
            raise WireError("out_of_range", "arguments.stream", f"must be one of {names}")
        streams = {
            name: description
            for name, description in self._runtime.descriptions.items()
            if wanted in (None, name)
        }
        return {"schema": SCHEMA, "kinds": KINDS, "streams": streams}

    def _pause(self, is_paused: bool) -> dict[str, Any]:
        self._runtime.is_paused = is_paused
        return {"paused": is_paused}

    def _operate(self, request: Request) -> Result:
        """In the engine's thread."""
        if request.command == "set_decode_every":
            self._runtime.station.decode_every = request.arguments["steps"]
            return {"decode_every": self._runtime.station.decode_every}
        result = self._runtime.station.operate(request.command, request.arguments)
        self._runtime.refresh_descriptions()
        return result

    def _end(self, _: Mapping[str, Any]) -> dict[str, Any]:
        self._shut_down()
        return {"closing": True}
