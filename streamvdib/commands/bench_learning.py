"""Scenarios of learning while a stream runs: e-prop at every step, and recording to frames."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamvdib.commands.bench_eager import EagerEprop
from streamvdib.commands.bench_measure import Contender, Scenario
from streamvdib.commands.bench_scenarios import (
    CHUNK,
    N_HIDDEN,
    N_INPUTS,
    N_OUTPUTS,
    Make,
    cycle,
    model,
    random_events,
)
from streamvdib.engine import Engine
from streamvdib.events import EventPacket, SensorSize
from streamvdib.geometry import Box, Geometry
from streamvdib.input_steps import input_steps
from streamvdib.learning.delayed import DelayedLearner
from streamvdib.learning.guard import Guard
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.optimisers import SGD
from streamvdib.learning.priors import BernoulliPrior
from streamvdib.learning.rule import Rule
from streamvdib.learning.targets import FixedTarget
from streamvdib.model import Model

BETA, PRIOR_RATE = 1e-3, 0.03
RATE = 1e-5  # of learning: activity stays as it is in the scenarios that do not learn
LOSS = 400.0  # nats, of a decoder that has begun to learn
BPTT_STEPS = 100


def learner_of(built: Model, *, every: int = 1) -> DelayedLearner:
    """``score`` at every step, with the loss of every so many."""
    prior = BernoulliPrior(PRIOR_RATE)
    rule = Rule("score", BETA, prior, feedback="random", credit="instantaneous")
    return DelayedLearner(built, Settings(rule, SGD(), SGD(), RATE), decode_every=every)


def image(built: Model) -> FixedTarget:
    """A picture of noise."""
    shape = built.decoder_shape.output_shape
    return FixedTarget(np.random.default_rng(0).random(shape).astype(np.float32))


def eprop(name: str, sizes: list[int], *, peers: bool) -> Scenario:
    """676 inputs, 2 % active: a step that learns, as eager torch and as a compiled chunk."""
    built = model(sizes)
    spikes = np.random.default_rng(0).random((CHUNK, N_INPUTS)) < 0.02
    learner = learner_of(built)
    eager = EagerEprop(
        built, learner.feedback, lambda _: torch.rand(N_OUTPUTS), n_credited=built.tau_d,
        learning_rate=RATE, beta=BETA, prior_rate=PRIOR_RATE, loss=LOSS,
    )  # fmt: skip
    rows = [torch.from_numpy(row.astype(np.float32)) for row in spikes]
    engine = Engine(built, None, backend="numba", learner=learner)
    chunk = input_steps(spikes[:, None])
    engine.backend.watch(chunk.part(0, 1))
    learner.learn(engine.window, image(built).at(0), 0)  # the loss that the steps learn from
    contenders = [
        Contender("torch eager e-prop", _without_gradients(cycle(eager, rows)), 1),
        Contender("ours, chunk", lambda: engine.backend.watch(chunk), CHUNK),
    ]
    if peers:
        contenders += bptt(sizes, spikes[:BPTT_STEPS])
    return Scenario(name, "step", contenders)


def bptt(sizes: list[int], spikes: npt.NDArray[np.bool_]) -> list[Contender]:
    """Back-propagation through 100 steps of snnTorch, where it is installed; another rule."""
    try:
        snntorch: Any = importlib.import_module("snntorch")
    except ImportError as error:
        print(f"snntorch: skipped, {error}", file=sys.stderr)  # noqa: T201 - command output
        return []
    torch.manual_seed(0)
    widths = [spikes.shape[1], *sizes]
    linears = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
    neurons = [snntorch.Leaky(beta=0.9) for _ in sizes]
    optimiser = torch.optim.SGD(linears.parameters(), RATE)
    inputs = torch.from_numpy(spikes.astype(np.float32))[:, None]

    def train() -> None:
        states = [neuron.init_leaky() for neuron in neurons]
        total = torch.zeros(())
        for values in inputs:
            for index, (linear, neuron) in enumerate(zip(linears, neurons, strict=True)):
                values, states[index] = neuron(linear(values), states[index])
            total = total + values.sum()
        optimiser.zero_grad()
        (total / inputs.numel()).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return [Contender(f"snntorch BPTT, T = {len(spikes)}", train, len(spikes))]


def end_to_end_learning() -> Scenario:
    """As ``end-to-end``, of changing packets, and learning at every step; a target every 10 ms."""
    sensor = SensorSize(26, 26)
    geometry = Geometry(sensor, Box(0, 0, 26, 26), polarity_channels=1)
    plain = Engine(model([N_HIDDEN, N_OUTPUTS]), geometry, decode_every=10)
    learning = learning_engine(geometry)
    guarded = learning_engine(geometry)
    assert isinstance(guarded.learner, DelayedLearner)
    guarded.learner = Guard(guarded.learner, guarded.model)
    engines = {"ours, without learning": plain, "ours": learning, "ours, guarded": guarded}
    contenders = [Contender(name, _packets(engine), 10) for name, engine in engines.items()]
    return Scenario("end-to-end-learning", "packet", contenders, 10_000.0)


def learning_engine(geometry: Geometry) -> Engine:
    """Learns at every step, from a target every ten."""
    built = model([N_HIDDEN, N_OUTPUTS])
    learner = learner_of(built, every=10)
    return Engine(built, geometry, decode_every=10, learner=learner, targets=image(built))


def _packets(engine: Engine) -> Callable[[], object]:
    """Ten packets of 10 ms to a call, of fifty that differ."""
    cut = [random_events(140, 26, 26, 10_000, seed=seed) for seed in range(50)]
    state = {"next": 0}

    def ten_packets() -> None:
        for _ in range(10):
            index = state["next"]
            state["next"] = index + 1
            events = cut[index % len(cut)].copy()
            events["t_us"] += index * 10_000
            engine.advance(EventPacket(events, (index + 1) * 10_000))

    return ten_packets


def _without_gradients(call: Callable[[], object]) -> Callable[[], object]:
    def one() -> object:
        with torch.inference_mode():
            return call()

    return one


def learning_scenarios(only: str, *, peers: bool) -> list[Make]:
    """Those whose name holds ``only``; each is made when it is called."""
    one, two = "eprop-one-layer", "eprop-two-layers"
    table: dict[str, Make] = {
        one: partial(eprop, one, [N_OUTPUTS], peers=peers),
        two: partial(eprop, two, [N_HIDDEN, N_OUTPUTS], peers=peers),
        "end-to-end-learning": end_to_end_learning,
    }
    return [make for name, make in table.items() if only in name]
