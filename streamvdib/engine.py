"""The spine: packets of events in, natural frames out, one time step after the other.

    packet -> binner -> encoder -> spike window -> decoder -> frame
                           ^                          |
                           +----- learner, if any ----+

``advance`` is all of it. The engine owns the memory (binner, encoder state, window); everything
else it is given. It knows no learning rule, only the ``Learner`` protocol.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from streamvdib.backends import Backend, EncoderTrace, SpikeArray, make_backend
from streamvdib.binning import DEFAULT_MAX_GAP_US, Binner
from streamvdib.decoding import make_decoding
from streamvdib.encoder import Weights
from streamvdib.engine_state import EngineState, put, take
from streamvdib.errors import ConfigurationError, GeometryError
from streamvdib.events import EventPacket
from streamvdib.geometry import Geometry
from streamvdib.input_steps import InputSteps
from streamvdib.merging import StreamMerger
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow
from streamvdib.statistics import RunStatistics
from streamvdib.thinning import NOT_THINNED

Target = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.float32]
Observer = Callable[[InputSteps, SpikeArray], object]  # the steps of a chunk, and y of each


@dataclass(frozen=True)
class Frame:
    """A natural frame, decoded from the last tau_d readout spike vectors."""

    step: int  # the last time step it has seen
    start_us: int  # sensor time at which its window begins
    end_us: int  # sensor time at which its last step ends
    pixels: Pixels  # (n_streams, height, width), or (n_streams, n) for vectors


class Learner(Protocol):
    """Changes weights while the engine runs; the engine knows no more of it than this."""

    @property
    def update_every(self) -> int:
        """Steps between updates."""

    @property
    def paused(self) -> bool:
        """Whether it only looks on."""

    def watch(self, trace: EncoderTrace) -> None:
        """Record what a chunk of steps leaves for learning; change nothing."""

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        """Change the decoder in place and return new encoder weights, or None if none changed."""

    def restart(self) -> None:
        """Forget what was recorded: the sensor's clock jumped."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Everything of it that changes, by name; not the model's own weights."""

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave.

        Raises:
            CheckpointError: a tensor is missing or has another shape.
        """


class Targets(Protocol):
    """The natural signal that the decoder should give at each moment."""

    def at(self, end_us: int) -> Target | None:
        """The target of a step that ends then, (n_streams, *output_shape); None: none known."""


class Engine:
    """Streams packets through a model.

    Memory: binner, one encoder state of all lanes, and the window; nothing grows with the stream.

    Args:
        model: what turns spikes into frames.
        geometry: how the sensor feeds the model; None where input steps come ready made.
        n_streams: independent streams of this geometry, as lanes of the one model.
        decode_every: steps between frames; 0 decodes only on demand.
        seed: of the readout's random draws.
        backend: "auto" or one of ``BACKENDS``.
        policy: "raise" for recordings, "count" for live streams (see ``binning``).
        max_gap_us: longer gaps restart the stream or are errors.
        learner: learns while the engine runs, from ``targets``.
        targets: what the learner learns from.
        clock: seconds that only go up, for latencies.
        backend_options: passed to the backend, such as ``dtype``.
    """

    def __init__(
        self,
        model: Model,
        geometry: Geometry | None,
        *,
        n_streams: int = 1,
        decode_every: int = 1,
        seed: int = 0,
        backend: str = "auto",
        policy: str = "raise",
        max_gap_us: int = DEFAULT_MAX_GAP_US,
        learner: Learner | None = None,
        targets: Targets | None = None,
        clock: Callable[[], float] = time.perf_counter,
        **backend_options: Any,
    ) -> None:
        if decode_every < 0:
            raise ConfigurationError(f"decode_every must be 0 or more steps; got {decode_every}")
        self.model, self.geometry, self.n_streams = model, geometry, n_streams
        self.n_lanes = n_streams * (geometry.n_lanes if geometry else 1)
        self.decode_every, self.seed = decode_every, seed
        self.targets, self.clock = targets, clock
        self.binners = self._make_binners(policy, max_gap_us)
        self.merger = StreamMerger(n_streams) if n_streams > 1 else None
        self.window = SpikeWindow(model.tau_d, self.n_lanes, model.encoder.n_outputs)
        self.backend: Backend = make_backend(
            backend,
            model.encoder,
            model.weights,
            n_lanes=self.n_lanes,
            seed=seed,
            **backend_options,
        )
        self.decoding = make_decoding(model, self.window)
        self._learner: Learner | None = None
        self.learner = learner
        self.statistics = RunStatistics()
        self.thinning = NOT_THINNED  # what is given up where the machine is too slow
        self.observers: list[Observer] = []  # called after every chunk, before its frame
        self.update_observers: list[Callable[[], object]] = []  # called after every update
        self.step = 0  # steps done
        self.end_us = 0  # sensor time at which the last step ended

    @property
    def learner(self) -> Learner | None:
        """What learns while the engine runs."""
        return self._learner

    @learner.setter
    def learner(self, learner: Learner | None) -> None:
        self._learner = learner
        attach = getattr(learner, "attach", None)  # of those that work within an engine's loops
        if attach is not None:
            attach(self)

    def advance(self, packet: EventPacket, stream: int = 0) -> list[Frame]:
        """Push a packet of one stream; return the frames that fell due, in order."""
        return [
            frame
            for inputs in self.binners[stream].push(packet)
            for merged in self._in_step(stream, inputs)
            for thinned in self._thinned(merged)
            for frame in self.run(thinned)
        ]

    def run(self, inputs: InputSteps) -> Iterator[Frame]:
        """Advance over input steps, with a frame every ``decode_every`` steps."""
        if inputs.restarts:
            self.restart()
        start = 0
        while start < inputs.n_steps:
            end = min(inputs.n_steps, start + self._steps_to_boundary())
            self._advance_chunk(inputs.part(start, end))
            start = end
            if self.decode_every and self.step % self.decode_every == 0:
                yield self.decode()
            if self.learner is not None and self.step % self.learner.update_every == 0:
                self._learn(self.learner)

    def decode(self) -> Frame:
        """The frame of this very moment, whatever ``decode_every`` says."""
        began = self.clock()
        estimates = self.assemble(self.decoding())
        self.statistics.decode_latency.add(self.clock() - began)
        self.statistics.frames += 1
        start_us = self.end_us - self.window.tau_d * self.model.dt_us
        return Frame(self.step - 1, start_us, self.end_us, estimates)

    def assemble(self, images: Pixels) -> Pixels:
        """Images of every lane into one per stream, (n_streams, height, width)."""
        if self.geometry is None or images.ndim != 3:
            return images
        if self.n_streams == 1:
            return self.geometry.assemble(images)[None]
        streams = np.split(images, self.n_streams)
        return np.stack([self.geometry.assemble(tiles) for tiles in streams])

    def warm_up(self) -> None:
        """Load compiled code now, so that the first step is no slower; nothing else changes."""
        nothing = np.empty(0, dtype=np.int64)
        self.backend.advance(
            InputSteps(
                np.zeros(1, dtype=np.int64),
                nothing.astype(np.int32),
                self.n_lanes,
                self.model.encoder.n_inputs,
                self.step,
                self.end_us,
                self.model.dt_us,
            )
        )
        self.decoding()
        if self.binners:
            self.binners[0].warm_up()

    def set_weights(self, weights: Weights) -> None:
        """Use other encoder weights from the next step on."""
        if weights is getattr(self.backend, "live", None):
            return  # those of loops that learn: the model shows them as they are
        self.model = self.model.with_weights(weights)
        self.backend.set_weights(weights)

    def restart(self) -> None:
        """Forget the past of encoder, window and learner; step numbers go on."""
        state = self.model.encoder.initial_state(self.n_lanes)
        self.backend.restore(type(state)(self.step, state.layers))
        self.window.clear()
        if self.learner is not None:
            self.learner.restart()

    def snapshot(self) -> EngineState:
        """A copy of everything that changes; call it between packets."""
        return take(self)

    def restore(self, state: EngineState) -> None:
        """Go on from a snapshot, bit for bit.

        Raises:
            CheckpointError: it is of another model or configuration; nothing has changed.
        """
        put(self, state)

    def _make_binners(self, policy: str, max_gap_us: int) -> list[Binner]:
        geometry = self.geometry
        if geometry is None:
            return []
        if geometry.input_shape != tuple(self.model.encoder.input_shape):
            raise GeometryError(
                f"the geometry must give {self.model.encoder.input_shape}; it gives "
                f"{geometry.input_shape}. Make it with fit_geometry."
            )
        return [
            Binner(geometry, self.model.dt_us, policy=policy, max_gap_us=max_gap_us)
            for _ in range(self.n_streams)
        ]

    def _in_step(self, stream: int, inputs: InputSteps) -> Iterable[InputSteps]:
        return [inputs] if self.merger is None else self.merger.push(stream, inputs)

    def _thinned(self, inputs: InputSteps) -> list[InputSteps]:
        """What is left of the steps where load is shed; all of them otherwise."""
        if self.thinning == NOT_THINNED:
            return [inputs]
        thinned = list(self.thinning.apply(inputs))
        statistics = self.statistics
        statistics.merged_steps += inputs.n_steps - sum(part.n_steps for part in thinned)
        statistics.shed_inputs += len(inputs.indices) - sum(len(p.indices) for p in thinned)
        return thinned

    def _steps_to_boundary(self) -> int:
        """Steps until the next frame or update is due."""
        periods = [self.decode_every] if self.decode_every else []
        if self.learner is not None:
            periods.append(self.learner.update_every)
        return min((period - self.step % period for period in periods), default=self.window.tau_d)

    def _advance_chunk(self, inputs: InputSteps) -> None:
        began = self.clock()
        if self.learner is None or self.learner.paused:
            spikes = self.backend.advance(inputs)
        else:
            trace = self.backend.watch(inputs)
            self.learner.watch(trace)
            spikes = trace.spikes[-1]
        self.window.push(spikes)
        n_steps = inputs.n_steps
        self.statistics.step_latency.add((self.clock() - began) / n_steps, n_steps)
        self.statistics.steps += n_steps
        self.statistics.spikes += int(np.count_nonzero(spikes))
        self.step += n_steps
        self.end_us = inputs.end_us
        for observe in self.observers:
            observe(inputs, spikes)

    def _learn(self, learner: Learner) -> None:
        """Hand the learner its target, and use the weights that it returns."""
        if learner.paused:
            return
        began = self.clock()
        target = None if self.targets is None else self.targets.at(self.end_us)
        weights = learner.learn(self.window, target, self.end_us)
        self.decoding.weights_changed()
        if weights is not None:
            self.set_weights(weights)
            self.statistics.updates += 1
            for observe in self.update_observers:
                observe()
        self.statistics.learn_latency.add(self.clock() - began)
