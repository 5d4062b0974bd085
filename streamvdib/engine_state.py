"""Everything of an engine that changes, as one value: taken between packets, put back later.

    run = run half, take, put into a new engine, run the rest              bit for bit

Tensors go by name, the rest is plain values (numbers, text, lists, tables) under ``about``. The
state of the encoder is the reference's, so that any backend goes on from any other's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.encoder import EncoderState
from streamvdib.errors import CheckpointError, StreamVdibError
from streamvdib.input_steps import InputSteps
from streamvdib.model import fill_model, tensors_digest
from streamvdib.neurons.neuron import NeuronState
from streamvdib.thinning import Thinning

if TYPE_CHECKING:
    from streamvdib.binning import Binner
    from streamvdib.engine import Engine
    from streamvdib.merging import StreamMerger

Tensors = dict[str, Tensor]
Table = dict[str, Any]
State = TypeVar("State", bound=NeuronState)
_LATENCIES = ("step_latency", "decode_latency", "learn_latency")
_TOTALS = ("steps", "frames", "spikes", "updates", "merged_steps", "shed_inputs")


@dataclass(frozen=True)
class EngineState:
    """What an engine has become. Memory: once the engine's own."""

    tensors: Mapping[str, Tensor]  # copies, on the CPU
    about: Mapping[str, Any]  # plain values, with the configuration that the state belongs to


def take(engine: Engine) -> EngineState:
    """Copy everything that changes; call it between packets."""
    encoder = engine.backend.state()
    statistics = engine.statistics
    tensors = {f"model.{name}": tensor for name, tensor in engine.model.tensors().items()}
    tensors |= encoder_tensors(encoder)
    tensors["window.ring"] = torch.from_numpy(engine.window.ring)
    for index, binner in enumerate(engine.binners):
        tensors[f"binner.{index}.pending"] = torch.from_numpy(binner.pending)
    for name in _LATENCIES:
        tensors[f"statistics.{name}"] = torch.from_numpy(getattr(statistics, name).counts)
    if engine.learner is not None:
        tensors |= {f"learner.{name}": t for name, t in engine.learner.tensors().items()}
    about: Table = {
        "configuration": configuration(engine),
        "step": engine.step,
        "end_us": engine.end_us,
        "decode_every": engine.decode_every,
        "encoder_step": encoder.step,
        "n_pushed": engine.window.n_pushed,
        "thinning": asdict(engine.thinning),
        "binners": [_about_binner(binner) for binner in engine.binners],
        "statistics": {name: getattr(statistics, name) for name in _TOTALS},
    }
    if engine.merger is not None:
        tensors |= _merger_tensors(engine.merger)
        about["merger"] = _about_merger(engine.merger)
    return EngineState({name: _copy(t) for name, t in tensors.items()}, about)


def put(engine: Engine, state: EngineState) -> None:
    """Make the engine go on from a state.

    Raises:
        CheckpointError: the state is of another model or configuration, or a tensor is missing
            or has another shape; the engine is as it was.
    """
    about, tensors = state.about, state.tensors
    try:
        _check_configuration(configuration(engine), about["configuration"])
        _check_ring("window.ring", tensors, engine.window.ring)
        encoder = EncoderState(
            int(about["encoder_step"]), fill_encoder(engine.backend.state(), tensors)
        )
        binners = [_binner_values(index, about, tensors) for index in range(len(engine.binners))]
        merger = None if engine.merger is None else _merger_values(about["merger"], tensors)
        totals = {name: int(about["statistics"][name]) for name in _TOTALS}
        scalars = {name: int(about[name]) for name in ("step", "end_us", "decode_every")}
        latencies = {name: tensors[f"statistics.{name}"].numpy().copy() for name in _LATENCIES}
        n_pushed, thinning = int(about["n_pushed"]), Thinning(**about["thinning"])
        _fill_learner_and_model(engine, tensors)
    except (KeyError, TypeError, IndexError) as error:
        raise CheckpointError(
            f"a state must hold everything that changes; {error!r} is missing or of another kind"
        ) from error
    engine.backend.restore(encoder)
    engine.window.ring[:] = tensors["window.ring"].numpy()
    engine.window.n_pushed, engine.thinning = n_pushed, thinning
    for binner, values in zip(engine.binners, binners, strict=True):
        for name, value in values.items():
            setattr(binner, name, value)
    if engine.merger is not None and merger is not None:
        for name, value in merger.items():
            setattr(engine.merger, name, value)
    for name, total in totals.items():
        setattr(engine.statistics, name, total)
    for name, counts in latencies.items():
        getattr(engine.statistics, name).counts = counts
    for name, value in scalars.items():
        setattr(engine, name, value)


def configuration(engine: Engine) -> Table:
    """What must be the same for a state to make sense: plain values."""
    geometry = engine.geometry
    return {
        "description": json.loads(json.dumps(dict(engine.model.description))),
        "geometry": None if geometry is None else json.loads(json.dumps(asdict(geometry))),
        "n_streams": engine.n_streams,
        "seed": engine.seed,
        "max_gap_us": [binner.max_gap_us for binner in engine.binners],
        "policy": [binner.policy for binner in engine.binners],
        "learner": None if engine.learner is None else type(engine.learner).__name__,
    }


def state_digest(state: EngineState) -> str:
    """SHA-256 of what a run's future depends on: all but latencies, which depend on the machine."""
    digest = hashlib.sha256(json.dumps(dict(state.about), sort_keys=True).encode())
    lasting = {n: t for n, t in state.tensors.items() if not n.startswith("statistics.")}
    digest.update(tensors_digest(lasting).encode())
    return digest.hexdigest()


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _check_configuration(ours: Table, theirs: Mapping[str, Any]) -> None:
    odd = [name for name in ours if ours[name] != theirs.get(name)]
    if odd:
        name = odd[0]
        raise CheckpointError(
            f"a state must be of this engine's configuration; {', '.join(odd)} differ: {name} is "
            f"{_short(ours[name])} here and {_short(theirs.get(name))} there. Start with the "
            "options and the model that it was made with."
        )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else text[:200] + "..."


def _check_ring(name: str, tensors: Mapping[str, Tensor], ring: npt.NDArray[Any]) -> None:
    if tuple(tensors[name].shape) != ring.shape or tensors[name].numpy().dtype != ring.dtype:
        raise CheckpointError(
            f"{name} must have shape {ring.shape} and type {ring.dtype}; got "
            f"{tuple(tensors[name].shape)} and {tensors[name].dtype}"
        )


def _fill_learner_and_model(engine: Engine, tensors: Mapping[str, Tensor]) -> None:
    """Load what checks itself; put the old back where a check fails."""
    before = {name: _copy(tensor) for name, tensor in engine.model.tensors().items()}
    learner = engine.learner
    learned = {} if learner is None else {n: _copy(t) for n, t in learner.tensors().items()}
    try:
        model = fill_model(engine.model, _below("model.", tensors))
        if learner is not None:
            learner.load_tensors(_below("learner.", tensors))
    except (StreamVdibError, RuntimeError, ValueError, KeyError) as error:
        fill_model(engine.model, before)
        if learner is not None:
            learner.load_tensors(learned)
        raise CheckpointError(f"a state must fit the model and the learner: {error}") from error
    engine.set_weights(model.weights)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {n[len(prefix) :]: t.clone() for n, t in tensors.items() if n.startswith(prefix)}


def encoder_tensors(state: EncoderState) -> Tensors:
    """What the encoder remembers, by name."""
    return {
        f"encoder.{index}.{name}": getattr(layer, name)
        for index, layer in enumerate(state.layers)
        for name in _field_names(layer)
    }


def _field_names(layer: Any) -> list[str]:
    return [field.name for field in fields(layer)]


def fill_encoder(like: EncoderState, tensors: Mapping[str, Tensor]) -> tuple[NeuronState, ...]:
    """The layers' states from tensors by name, in shape and type like those of ``like``."""
    return tuple(
        _fill_layer(layer, f"encoder.{index}.", tensors) for index, layer in enumerate(like.layers)
    )


def _fill_layer(layer: State, prefix: str, tensors: Mapping[str, Tensor]) -> State:
    values = {}
    for name in _field_names(layer):
        expected, given = getattr(layer, name), tensors[prefix + name]
        if given.shape != expected.shape or given.dtype != expected.dtype:
            raise CheckpointError(
                f"{prefix}{name} must have shape {tuple(expected.shape)} and type "
                f"{expected.dtype}; got {tuple(given.shape)} and {given.dtype}"
            )
        values[name] = given.to(expected.device, copy=True)
    return replace(layer, **values)  # type: ignore[type-var]


def _about_binner(binner: Binner) -> Table:
    return {
        "open_us": binner.open_us,
        "next_step": binner.next_step,
        "restarting": binner.restarting,
        "counters": asdict(binner.counters),
    }


def _binner_values(index: int, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Table:
    from streamvdib.binning import BinningCounters

    values = about["binners"][index]
    return {
        "open_us": None if values["open_us"] is None else int(values["open_us"]),
        "next_step": int(values["next_step"]),
        "restarting": bool(values["restarting"]),
        "counters": BinningCounters(**values["counters"]),
        "pending": tensors[f"binner.{index}.pending"].numpy().copy(),
    }


def _merger_tensors(merger: StreamMerger) -> Tensors:
    return {
        f"merger.{stream}.{index}.{name}": torch.from_numpy(np.array(getattr(inputs, name)))
        for stream, queue in enumerate(merger.queues)
        for index, inputs in enumerate(queue)
        for name in ("offsets", "indices")
    }


def _about_merger(merger: StreamMerger) -> Table:
    scalars = ("n_lanes", "n_inputs", "first_step", "start_us", "dt_us", "restarts")
    return {
        "filled": merger.filled,
        "next_step": merger.next_step,
        "owed": list(merger.owed),
        "queues": [
            [{name: getattr(inputs, name) for name in scalars} for inputs in queue]
            for queue in merger.queues
        ],
    }


def _merger_values(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Table:
    queues = [
        [
            InputSteps(
                tensors[f"merger.{stream}.{index}.offsets"].numpy().copy(),
                tensors[f"merger.{stream}.{index}.indices"].numpy().copy(),
                **scalars,
            )
            for index, scalars in enumerate(queue)
        ]
        for stream, queue in enumerate(about["queues"])
    ]
    return {
        "filled": int(about["filled"]),
        "next_step": int(about["next_step"]),
        "owed": [int(n) for n in about["owed"]],
        "queues": queues,
    }
