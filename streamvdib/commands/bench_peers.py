"""The same step by others: a numpy baseline, and peer libraries where they are installed."""

from __future__ import annotations

import importlib
import itertools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from streamvdib.commands.bench_measure import Contender
from streamvdib.model import Model

Spikes = npt.NDArray[np.bool_]
Step = Callable[[Tensor], object]


def numpy_steps(model: Model, spikes: Spikes) -> Contender:
    """An event-driven baseline in numpy: sums of weight rows, leaky traces of both responses."""
    weights = [layer.synapses[0].numpy() for layer in model.weights]
    biases = [layer.bias.numpy() for layer in model.weights]
    traces = [np.zeros((3, len(bias)), np.float32) for bias in biases]
    active = [np.flatnonzero(row) for row in spikes]
    generator = np.random.default_rng(0)
    state = {"next": 0}

    def step() -> None:
        rows = active[state["next"]]
        state["next"] = (state["next"] + 1) % len(active)
        for index, (weight, bias, trace) in enumerate(zip(weights, biases, traces, strict=True)):
            response, feedback, before = trace
            response *= 0.9
            response += weight[rows].sum(0)
            feedback *= 0.8
            feedback += before
            potential = response - feedback + bias
            if index == len(weights) - 1:
                probability = 1 / (1 + np.exp(-potential))
                before[:] = generator.random(len(bias), dtype=np.float32) < probability
            else:
                before[:] = potential >= 0
                rows = np.flatnonzero(before)

    return Contender("numpy, event-driven", step, 1)


def peer_steps(sizes: list[int], spikes: Spikes) -> list[Contender]:
    """One step of every library that is installed; snnTorch first, if it is."""
    inputs = [torch.from_numpy(row[None].astype(np.float32)) for row in spikes]
    found = []
    for name, make in PEERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                step = make([spikes.shape[1], *sizes])
                with torch.inference_mode():
                    step(inputs[0])
        except ImportError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)  # noqa: T201 - command output
            continue
        found.append(Contender(name, _stepping(step, inputs), 1))
    return found


def _stepping(step: Step, inputs: list[Tensor]) -> Callable[[], object]:
    state = {"next": 0}

    def one() -> object:
        index = state["next"]
        state["next"] = (index + 1) % len(inputs)
        with torch.inference_mode():
            return step(inputs[index])

    return one


def _linear(sizes: list[int]) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]


def _snntorch(sizes: list[int]) -> Step:
    snntorch: Any = importlib.import_module("snntorch")
    layers = [(linear, snntorch.Leaky(beta=0.9)) for linear in _linear(sizes)]
    states = [neuron.init_leaky() for _, neuron in layers]

    def step(spikes: Tensor) -> object:
        for index, (linear, neuron) in enumerate(layers):
            spikes, states[index] = neuron(linear(spikes), states[index])
        return spikes

    return step


def _norse(sizes: list[int]) -> Step:
    norse: Any = importlib.import_module("norse.torch")
    parts = [part for linear in _linear(sizes) for part in (linear, norse.LIFCell())]
    network, state = norse.SequentialState(*parts), [None]

    def step(spikes: Tensor) -> object:
        spikes, state[0] = network(spikes, state[0])
        return spikes

    return step


def _spikingjelly(sizes: list[int]) -> Step:
    neuron: Any = importlib.import_module("spikingjelly.activation_based.neuron")
    parts = [part for linear in _linear(sizes) for part in (linear, neuron.LIFNode(tau=10.0))]
    return nn.Sequential(*parts).eval()


def _sinabs(sizes: list[int]) -> Step:
    layers: Any = importlib.import_module("sinabs.layers")
    parts = [part for linear in _linear(sizes) for part in (linear, layers.LIF(tau_mem=10.0))]
    network = nn.Sequential(*parts).eval()
    return lambda spikes: network(spikes[:, None])


PEERS: dict[str, Callable[[list[int]], Step]] = {
    "snntorch Leaky": _snntorch,
    "norse LIFCell": _norse,
    "spikingjelly LIFNode": _spikingjelly,
    "sinabs LIF": _sinabs,
}
