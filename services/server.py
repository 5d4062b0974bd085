"""One service from start to end: engine's thread, I/O thread, sockets, keys.

Server(...) -> start() -> wait() -> close()
"""

from __future__ import annotations

import gc
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from streamvdib.events import EventPacket

from .addresses import Address
from .frame_service import FrameService, ServiceOptions
from .intake import Intake
from .keys import ALLOW_LIST, SERVER_NAME, KeyPair, read_allow_list, read_key_pair
from .operator import Operator
from .runtime import EVENTS_PER_MESSAGE, Runtime
from .station import Station
from .tally import Tally
from .zap import Authenticator

_LOG = logging.getLogger(__name__)
_EVENT_BYTES = 13
_SWITCH_INTERVAL_S = 0.0005  # a thread with a frame to send waits no longer for the others


@dataclass(frozen=True)
class ServerOptions:
    """Where a server listens, who may come, and what it sends.

    Attributes:
        data: address of frames.
        control: address of control.
        curve: folder of keys, see ``keys``; None serves without CURVE.
        guests: further client keys and their roles, such as of the page's process.
        pixel_dtype: ``<f4`` or ``|u1``.
        requests_per_s: control requests answered per connection.
    """

    data: Address
    control: Address
    curve: Path | None = None
    guests: Mapping[bytes, str] | None = None
    pixel_dtype: str = "<f4"
    requests_per_s: float = 200.0


class Server:
    """Serves one station.

    Args:
        station: the engine; used by the engine's thread from ``start`` on.
        intakes: one per stream.
        options: where and who.
        list_models: names that control may load.
        on_packet: is given every packet before the engine (the recorder).
    """

    def __init__(
        self,
        station: Station,
        intakes: Mapping[str, Intake],
        options: ServerOptions,
        *,
        list_models: Callable[[], Sequence[str]] = tuple,
        on_packet: Callable[[str, EventPacket], None] | None = None,
    ) -> None:
        self._options = options
        self._station = station
        self.server_keys = _server_keys(options)
        roles = self._roles()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._ended = threading.Event()
        self.stop_requested = threading.Event()
        self.tally = Tally()
        self._descriptions = {name: station.describe(name) for name in station.streams}
        self.authenticator = Authenticator(
            self._context,
            self.server_keys,
            roles,
            is_local=options.data.is_local and options.control.is_local,
        )
        try:
            self.service = FrameService(
                self._service_options(station, options),
                self._descriptions,
                lambda request: self._operator.handle(request),
                self.tally.pulse,
                self.authenticator,
                self._context,
            )
        except BaseException:
            self._close_context()
            raise
        self.runtime = Runtime(
            station,
            intakes,
            self.service.outbox,
            self.tally,
            self._descriptions,
            pixel_dtype=options.pixel_dtype,
            on_packet=on_packet,
        )
        self._operator = Operator(
            self.runtime,
            about=self.about,
            list_models=list_models,
            reload_keys=self.reload_keys,
            shut_down=self.stop_requested.set,
        )
        self.error: BaseException | None = None
        self.saved: dict[str, Any] = {}
        self._engine = threading.Thread(target=self._run_engine, name="engine", daemon=True)

    def start(self) -> None:
        """Begin to serve and to make steps."""
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self.service.start()
        self._engine.start()
        gc.collect()
        gc.freeze()  # what lives as long as the service need not be looked at again

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether the engine's thread has ended within ``timeout_s``."""
        return self._ended.wait(timeout_s)

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread that should have gone on."""
        return self.error or self.service.error

    def about(self) -> dict[str, Any]:
        """What the service knows of itself, besides the engine's figures."""
        return {
            "run": self.service.header.run,
            "model": self._station.model,
            "uptime_s": round((time.monotonic_ns() - self.tally.started_ns) / 1e9, 3),
            "data_address": self.service.data_address,
            "control_address": self.service.control_address,
            "engine_alive": self.tally.pulse.is_alive(2.0),
            "connections": self.service.n_subscribers,
            "let_in": self.authenticator.n_let_in,
            "refused": self.service.n_refused,
            "requests": self.service.desk.n_requests,
            "requests_refused": dict(self.service.desk.n_refused),
            "resets": self.service.publisher.n_resets,
        }

    def reload_keys(self) -> int:
        """Read the allow-list again and judge every connection anew; how many are on it."""
        roles = self._roles()
        self.authenticator.reload(roles)
        self.service.disconnect_all()
        return len(roles)

    def close(self) -> None:
        """Stop reading, finish the packet at hand, save, tell subscribers, close all."""
        self.runtime.stop()
        for intake in self.runtime.intakes.values():
            intake.stop()
        if self._engine.ident is not None:
            self._engine.join(timeout=5.0)
        self.service.close()
        self._close_context()
        gc.unfreeze()

    def _run_engine(self) -> None:
        try:
            self.runtime.run()
            self.saved = self._station.close()
            self.tally.pulse.beat("ended")
        except BaseException as error:  # told by the supervisor, which ends the service
            _LOG.error("the engine stopped", extra={"error": f"{type(error).__name__}: {error}"})
            self.error = error
            self.tally.pulse.beat("failed")
        finally:
            self._ended.set()

    def _roles(self) -> dict[bytes, str]:
        folder = self._options.curve
        listed = {} if folder is None else read_allow_list(folder / ALLOW_LIST)
        return listed | dict(self._options.guests or {})

    @staticmethod
    def _service_options(station: Station, options: ServerOptions) -> ServiceOptions:
        pixel_bytes = 4 if options.pixel_dtype == "<f4" else 1
        return ServiceOptions(
            options.data,
            options.control,
            station.streams,
            station.model,
            station.seed,
            max(
                math.prod(station.frame_shape) * pixel_bytes, EVENTS_PER_MESSAGE * _EVENT_BYTES // 4
            ),
            options.requests_per_s,
        )

    def _close_context(self) -> None:
        self.authenticator.close()
        self._context.term()


def _server_keys(options: ServerOptions) -> KeyPair | None:
    if options.curve is None:
        return None
    return read_key_pair(options.curve / f"{SERVER_NAME}.key_secret")
