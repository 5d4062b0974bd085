"""The real engine as the service's ``Station``: streams, figures, and commands that change it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.allocator import give_back
from streamvdib.engine import Engine, Frame
from streamvdib.errors import ConfigurationError, LearningError, ServiceError, TargetError
from streamvdib.events import EventPacket
from streamvdib.input_steps import InputSteps
from streamvdib.session import Session

from .snapshots import SnapshotKeeper
from .station import Learning, Reading, Result

_LOG = logging.getLogger(__name__)
_MAX_SPIKE_STEPS = 1024
_CHANGES = ("learn", "set_beta", "set_learning_rate", "roll_back")  # the log is told of them
SpikeArray = npt.NDArray[np.uint8]


class EngineStation:
    """Adapts an ``Engine``; used by the engine's thread.

    Memory: the engine's, and at most 1,024 steps of readout spikes that wait to be published.

    Args:
        engine: with one stream per name.
        streams: their names.
        make_session: the session of an engine, with its log and load shedding.
        lag_s: how far behind a stream is that has come to this time of the sensor, seconds.
        watched: what watches the engine while it takes a packet, given that lag.
        alarms: how often each was raised, by name.
        source_counters: what the sources skipped or lost, by cause.
        make_engine: an engine for a model given by name, same streams and geometry options.
        snapshots: where snapshots go; None where none are kept.
        about: what every description says besides (sensor size, source).
        commands: further commands, such as those of a recorder.
    """

    def __init__(
        self,
        engine: Engine,
        streams: Sequence[str],
        *,
        make_session: Callable[[Engine], Session] = Session,
        lag_s: Callable[[str, int], float] = lambda _stream, _end_us: 0.0,
        watched: Callable[[float], AbstractContextManager[None]] = lambda _lag_s: nullcontext(),
        alarms: Callable[[], Mapping[str, int]] = dict,
        source_counters: Callable[[], Mapping[str, int]] = dict,
        make_engine: Callable[[str], Engine] | None = None,
        snapshots: SnapshotKeeper | None = None,
        about: Mapping[str, Mapping[str, Any]] | None = None,
        commands: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] | None = None,
    ) -> None:
        self.streams = tuple(streams)
        self._make_session, self._lag_s = make_session, lag_s
        self._watched, self._alarms = watched, alarms
        self._source_counters = source_counters
        self._make_engine = make_engine
        self._snapshots = snapshots
        self._about = dict(about or {})
        self._spikes: list[SpikeArray] = []
        self._generation = 0
        self._n_bad_updates = 0
        self._commands: dict[str, Callable[[Mapping[str, Any]], Result]] = {
            "learn": self._learn,
            "set_beta": self._set_beta,
            "set_learning_rate": self._set_learning_rate,
            "snapshot": self._snapshot,
            "roll_back": self._roll_back,
            "load_model": self._load_model,
            **(commands or {}),
        }
        self._adopt(engine)

    @property
    def model(self) -> str:
        """The model's name."""
        return self.engine.model.name

    @property
    def seed(self) -> int:
        """Of the readout's draws."""
        return self.engine.seed

    @property
    def decode_every(self) -> int:
        """Steps between frames; more while load is shed."""
        return self.engine.decode_every

    @decode_every.setter
    def decode_every(self, steps: int) -> None:
        self._session.control("decode_every", {"steps": steps})

    def advance(self, stream: str, packet: EventPacket) -> list[Frame]:
        """Push a packet of one stream; the frames that fell due.

        An update that must not be made is undone by the learner, counted here, and decoding
        goes on.
        """
        watch = getattr(self.engine.targets, "watch", None)
        if watch is not None:
            watch(packet)
        lag_s = self._lag_s(stream, packet.end_us)
        if self._session.shedding is not None:
            self._session.shedding.observe(lag_s)
        try:
            with self._watched(lag_s):
                return self._session.advance(packet, self.streams.index(stream))
        except (LearningError, TargetError) as error:
            self._n_bad_updates += 1
            _LOG.warning("learning stopped", extra={"error": str(error)})
            return []

    def decode(self) -> Frame | None:
        """A frame now; None before the first step."""
        return self.engine.decode() if self.engine.step > 0 else None

    def take_spikes(self) -> SpikeArray:
        """Readout spikes of the steps since the last call, (n_streams, n_steps, n_neurons)."""
        if not self._spikes:
            return np.zeros((len(self.streams), 0, 0), dtype=np.uint8)
        spikes = np.concatenate(self._spikes)
        self._spikes.clear()
        n_steps = len(spikes)
        by_stream = spikes.reshape(n_steps, len(self.streams), -1).transpose(1, 0, 2)
        return np.ascontiguousarray(by_stream)

    def read(self) -> Reading:
        """Totals and state."""
        statistics = self.engine.statistics
        return Reading(
            self.engine.step - 1,
            statistics.spikes,
            self._generation + statistics.updates,
            self._dropped(),
            self._learning(),
            {**self._session.counters, **self._alarms()},
        )

    def describe(self, stream: str) -> dict[str, Any]:
        """What a newcomer is told of one stream."""
        model, geometry = self.engine.model, self.engine.geometry
        return {
            "stream": stream,
            "model": model.name,
            "dt_us": model.dt_us,
            "tau_d": model.tau_d,
            "decode_every": self.engine.decode_every,
            "frame_shape": list(self.frame_shape),
            "input_shape": list(model.encoder.input_shape),
            "n_readout": model.encoder.n_outputs,
            "n_lanes": 1 if geometry is None else geometry.n_lanes,
            "seed": self.engine.seed,
            **self._about.get(stream, {}),
        }

    def operate(self, command: str, arguments: Mapping[str, Any]) -> Result:
        """Execute a control command that concerns the engine."""
        execute = self._commands.get(command)
        if execute is None:
            raise ServiceError(f"{command} must be configured for this service; it is not")
        result = execute(arguments)
        if command in _CHANGES:
            self._session.changed(command, arguments)
        return result

    def close(self) -> dict[str, Any]:
        """End the session's log, and write a last snapshot where snapshots are kept."""
        self._session.finish()
        if self._snapshots is None or self.engine.step == 0:
            return {}
        return self._snapshots.save(self.engine).result()

    def _adopt(self, engine: Engine) -> None:
        self.engine = engine
        self._session = self._make_session(engine)
        engine.observers.append(self._observe)
        shape = (engine.n_lanes, *engine.model.decoder_shape.output_shape)
        pixels = engine.assemble(np.zeros(shape, dtype=np.float32))
        self.frame_shape: tuple[int, ...] = pixels.shape[1:]

    def _observe(self, _: InputSteps, spikes: SpikeArray) -> None:
        self._spikes.append(spikes)
        while len(self._spikes) > 1 and sum(map(len, self._spikes)) > _MAX_SPIKE_STEPS:
            self._spikes.pop(0)

    def _dropped(self) -> dict[str, int]:
        dropped = {**self._source_counters(), "bad_updates": self._n_bad_updates}
        for binner in self.engine.binners:
            counters = binner.counters
            for cause in ("off_sensor", "late", "restarts"):
                dropped[cause] = dropped.get(cause, 0) + getattr(counters, cause)
        return dropped

    def _learning(self) -> Learning | None:
        learner: Any = self.engine.learner
        if learner is None:
            return None
        metrics: Mapping[str, float] = learner.metrics()
        own = "guard_error_fast"  # unknown until the first update after a pause
        return Learning(
            on=not learner.paused,
            beta=float(learner.beta),
            learning_rate=float(learner.learning_rate),
            loss=_known(metrics, "decoder_nats"),
            score=_known(metrics, own if own in metrics else "decoder_nats"),
            nats_per_step=_known(metrics, "information_nats_per_step"),
        )

    def _learner(self) -> Any:
        if self.engine.learner is None:
            raise ServiceError("learning needs a learner; start the service with --learn")
        return self.engine.learner

    def _learn(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        learner = self._learner()
        (learner.resume if arguments["on"] else learner.pause)()
        return {"learning": not learner.paused}

    def _set_beta(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        learner = self._learner()
        learner.beta = arguments["value"]
        return {"beta": learner.beta}

    def _set_learning_rate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        learner = self._learner()
        learner.learning_rate = arguments["value"]
        return {"learning_rate": learner.learning_rate}

    def _kept(self) -> SnapshotKeeper:
        if self._snapshots is None:
            raise ServiceError("snapshots need a folder; start the service with --snapshots FOLDER")
        return self._snapshots

    def _snapshot(self, _: Mapping[str, Any]) -> Result:
        return self._kept().save(self.engine)

    def _roll_back(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        before = self.engine.statistics.updates
        result = self._kept().restore(self.engine, arguments.get("checkpoint"))
        self._generation += 1 + before - self.engine.statistics.updates  # it never goes back
        return result

    def _load_model(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self._make_engine is None:
            raise ConfigurationError("load_model must be configured for this service; it is not")
        old = self.engine
        new = self._make_engine(arguments["name"])
        self._session.finish()
        self._spikes.clear()
        self._generation += old.statistics.updates + 1
        self._adopt(new)
        give_back()
        return {"model": new.model.name, "frame_shape": list(self.frame_shape)}


def _known(metrics: Mapping[str, float], name: str) -> float | None:
    """A metric that is a finite number; None before it is one."""
    value = metrics.get(name)
    return float(value) if value is not None and math.isfinite(value) else None
