"""The scenarios of ``streamvdib bench``: permanent names, fixed seeds, fixed work."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from streamvdib.backends import make_backend
from streamvdib.binning import Binner
from streamvdib.commands.bench_measure import Contender, Scenario
from streamvdib.commands.bench_peers import numpy_steps, peer_steps
from streamvdib.commands.bench_start import first_frame, importing
from streamvdib.decoding import TorchDecoding, make_decoding
from streamvdib.encoder import LayerWeights, Weights
from streamvdib.engine import Engine
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.geometry import Box, Geometry
from streamvdib.input_steps import input_steps
from streamvdib.model import Model, new_model
from streamvdib.spike_window import SpikeWindow

N_INPUTS, N_HIDDEN, N_OUTPUTS = 676, 600, 256
RESPONSE = {"kind": "exponential", "decay": 0.9, "tau_e": 30}
FEEDBACK = {"kind": "exponential", "decay": 0.8, "tau_e": 30}
CHUNK = 512
Make = Callable[[], Scenario]


def all_scenarios(only: str, *, peers: bool) -> list[Make]:
    """Those whose name holds ``only``; each is made when it is called."""
    table: dict[str, Make] = {
        "step-one-layer": partial(step, "step-one-layer", [N_OUTPUTS], peers=peers),
        "step-two-layers": partial(step, "step-two-layers", [N_HIDDEN, N_OUTPUTS], peers=peers),
    }
    for percent in (0.1, 1, 5, 20):
        name = f"activity-{percent:g}"
        table[name] = partial(ours_only, name, rate=percent / 100)
    for n_lanes in (1, 16, 130):
        name = f"lanes-{n_lanes}"
        table[name] = partial(ours_only, name, n_lanes=n_lanes)
    for tau in (5, 30, 200):
        table[f"decoder-tau{tau}"] = partial(decoder, tau)
    for width, height, rate in ((26, 26, 0.2), (346, 260, 5), (1280, 720, 20)):
        name = f"binning-{width}x{height}"
        table[name] = partial(binning, name, width, height, rate)
    table["end-to-end"] = end_to_end
    table["tiles-346x260"] = tiles
    table["import"] = importing
    table["first-frame"] = first_frame
    return [make for name, make in table.items() if only in name]


def model(
    sizes: list[int], *, dt_us: int = 1000, tau_d: int = 30, side: int = 26, tau_e: int = 30
) -> Model:
    """Dense layers with weights that let a few percent of the neurons fire."""
    layers = [
        {
            "connection": {"kind": "dense", "n_neurons": size},
            "neuron": {
                "kind": "srm",
                "response": {**RESPONSE, "tau_e": tau_e},
                "feedback": {**FEEDBACK, "tau_e": tau_e},
                "stochastic": index == len(sizes) - 1,
            },
        }
        for index, size in enumerate(sizes)
    ]
    built = new_model(
        {
            "dt_us": dt_us,
            "input_shape": [1, side, side],
            "layers": layers,
            "decoder": {"kind": "mlp", "tau_d": tau_d, "output_shape": [28, 28]},
        }
    )
    return built.with_weights(_lively(built.weights))


def _lively(weights: Weights) -> Weights:
    """Hidden layers at about 6 %, the readout at about 3 %."""
    last = len(weights) - 1
    return tuple(
        LayerWeights(
            layer.synapses * (1.0 if index == last else 3.5),
            -torch.ones_like(layer.feedback),
            torch.full_like(layer.bias, -4.0 if index == last else -0.5),
        )
        for index, layer in enumerate(weights)
    )


def step(name: str, sizes: list[int], *, peers: bool) -> Scenario:
    """676 inputs, 2 % active: one step, as a chunk and as single calls."""
    built = model(sizes)
    spikes = np.random.default_rng(0).random((CHUNK, 1, N_INPUTS)) < 0.02
    chunk = input_steps(spikes)
    singles = [chunk.part(index, index + 1) for index in range(CHUNK)]
    whole = make_backend("numba", built.encoder, built.weights, n_lanes=1, seed=0)
    single = make_backend("numba", built.encoder, built.weights, n_lanes=1, seed=0)
    contenders = peer_steps(sizes, spikes[:, 0]) if peers else []
    contenders += [
        numpy_steps(built, spikes[:, 0]),
        Contender("ours, step", cycle(single.advance, singles), 1),
        Contender("ours, chunk", lambda: whole.advance(chunk), CHUNK),
    ]
    return Scenario(name, "step", contenders)


def ours_only(name: str, *, rate: float = 0.02, n_lanes: int = 1) -> Scenario:
    """Two layers at another activity or number of lanes."""
    built = model([N_HIDDEN, N_OUTPUTS])
    spikes = np.random.default_rng(0).random((64, n_lanes, N_INPUTS)) < rate
    chunk = input_steps(spikes)
    backend = make_backend("numba", built.encoder, built.weights, n_lanes=n_lanes, seed=0)
    return Scenario(
        name, "step", [Contender("ours, chunk", lambda: backend.advance(chunk), chunk.n_steps)]
    )


def decoder(tau_d: int) -> Scenario:
    """An MLP frame, 256 -> 512 -> 784, of a window that has moved by a step; 5 % are spikes."""
    built = model([N_OUTPUTS], tau_d=tau_d)
    window, move = moving_window(tau_d)
    return Scenario(
        f"decoder-tau{tau_d}",
        "frame",
        [
            Contender("torch eager", after(move, TorchDecoding(built, window)), 1),
            Contender("ours", after(move, make_decoding(built, window)), 1),
        ],
    )


def moving_window(tau_d: int) -> tuple[SpikeWindow, Callable[[], object]]:
    """A window with 5 % spikes, and what moves it by one step: it goes in a circle."""
    window = SpikeWindow(tau_d, 1, N_OUTPUTS)
    spikes = (np.random.default_rng(0).random((tau_d, 1, N_OUTPUTS)) < 0.05).astype(np.uint8)
    window.push(spikes)
    return window, cycle(window.push, list(spikes[:, None]))


def after(first: Callable[[], object], call: Callable[[], object]) -> Callable[[], object]:
    """One call after the other: ours has the answer already where nothing has moved."""

    def both() -> object:
        first()
        return call()

    return both


def binning(name: str, width: int, height: int, million_per_s: float) -> Scenario:
    """Packets of 10 ms into ascending lists of active pixels, 1 ms steps."""
    geometry = Geometry(SensorSize(width, height), Box(0, 0, width, height), polarity_channels=1)
    n_events, binner = int(million_per_s * 1e4), Binner(geometry, 1000)
    events = random_events(n_events, width, height, 10_000)
    times, pixels = events["t_us"].copy(), events["y"].astype(np.int32) * width + events["x"]
    packet = EventPacket(events, 10_000)

    def ours() -> None:
        binner.open_us, binner.pending = None, binner.pending[:0]
        for _ in binner.push(packet):
            pass

    def with_numpy() -> list[npt.NDArray[np.int32]]:
        edges = np.searchsorted(times, np.arange(0, 11_000, 1000))
        return [np.unique(pixels[edges[k] : edges[k + 1]]) for k in range(10)]

    return Scenario(
        name,
        "event",
        [Contender("numpy + unique", with_numpy, n_events), Contender("ours", ours, n_events)],
        1 / million_per_s,
    )


def end_to_end() -> Scenario:
    """676 -> 600 -> 256 at 1 ms steps, 14,000 events a second, a frame every 10 ms."""
    return _streaming("end-to-end", model([N_HIDDEN, N_OUTPUTS]), 26, 26, 140, 10, tile=False)


def tiles() -> Scenario:
    """The middle 338x260 of 346x260 in 130 tiles: 10 ms steps, 1 Mev/s, a frame every 50 ms."""
    built = model([N_HIDDEN, N_OUTPUTS], dt_us=10_000)
    return _streaming("tiles-346x260", built, 346, 260, 10_000, 5, tile=True)


def _streaming(
    name: str,
    built: Model,
    width: int,
    height: int,
    events_per_packet: int,
    every: int,
    *,
    tile: bool,
) -> Scenario:
    """Packets of 10 ms through an engine, ten to a call."""
    sensor, side = SensorSize(width, height), (26, 26) if tile else None
    used = width - width % 26  # whole tiles only: 13 columns of a sensor of 346
    box = Box((width - used) // 2, 0, used, height)
    geometry = Geometry(sensor, box, tile=side, polarity_channels=1)
    engine = Engine(built, geometry, decode_every=every)
    events = random_events(events_per_packet, width, height, 10_000)
    state = {"end": 0}

    def ten_packets() -> None:
        for _ in range(10):
            state["end"] += 10_000
            events["t_us"] += 10_000
            engine.advance(EventPacket(events, state["end"] + 10_000))

    return Scenario(name, "packet", [Contender("ours", ten_packets, 10)], 10_000.0)


def random_events(n_events: int, width: int, height: int, length_us: int, *, seed: int = 0) -> Any:
    """Uniform events over the sensor and a length of time, in order."""
    generator = np.random.default_rng(seed)
    return as_events(
        np.sort(generator.integers(0, length_us, n_events)),
        generator.integers(0, width, n_events),
        generator.integers(0, height, n_events),
        generator.random(n_events) < 0.5,
    )


def cycle(call: Callable[[Any], object], items: list[Any]) -> Callable[[], object]:
    """Calls with one item after the other, and again from the first."""
    state = {"next": 0}

    def one() -> object:
        index = state["next"]
        state["next"] = (index + 1) % len(items)
        return call(items[index])

    return one
