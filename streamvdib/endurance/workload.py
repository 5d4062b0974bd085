"""A small model and synthetic events, the workload of every trial."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamvdib.engine import Engine
from streamvdib.events import EventPacket, SensorSize, as_events
from streamvdib.geometry import fit_geometry
from streamvdib.model import Model, new_model

SENSOR = SensorSize(8, 8)
DT_US = 1000
PACKET_US = 3500  # not a multiple of the step, so that packets end inside steps
TAU_D = 4
EVENTS_PER_PACKET = 40


def small_model(seed: int = 0) -> Model:
    """Two layers of spiking neurons and a decoder, with random weights."""
    response = {"kind": "exponential", "decay": 0.8, "tau_e": 5}
    feedback = {"kind": "exponential", "decay": 0.5, "tau_e": 3}
    neuron = {"kind": "srm", "response": response, "feedback": feedback}
    return new_model(
        {
            "name": "small",
            "dt_us": DT_US,
            "input_shape": [2, SENSOR.height, SENSOR.width],
            "layers": [
                {"connection": {"kind": "dense", "n_neurons": 12}, "neuron": neuron},
                {
                    "connection": {"kind": "dense", "n_neurons": 6},
                    "neuron": {**neuron, "stochastic": True},
                },
            ],
            "decoder": {"kind": "mlp", "tau_d": TAU_D, "output_shape": [5, 5], "n_hidden": 8},
        },
        seed,
    )


def small_engine(**options: Any) -> Engine:
    """An engine of the small model; options are those of ``Engine``."""
    model = small_model()
    return Engine(model, fit_geometry(SENSOR, model.encoder.input_shape), **options)


def packet(
    seed: int, index: int, *, n_events: int = EVENTS_PER_PACKET, start_us: int = 0
) -> EventPacket:
    """Packet ``index`` of the endless recording called ``seed``: always the same."""
    generator = np.random.default_rng((seed, index))
    first_us = start_us + index * PACKET_US
    times = np.sort(generator.integers(first_us, first_us + PACKET_US, n_events))
    events = as_events(
        times,
        generator.integers(0, SENSOR.width, n_events),
        generator.integers(0, SENSOR.height, n_events),
        generator.integers(0, 2, n_events),
    )
    return EventPacket(events, first_us + PACKET_US)


def packets(seed: int, n_packets: int, first: int = 0) -> list[EventPacket]:
    """Consecutive packets of the recording called ``seed``."""
    return [packet(seed, index) for index in range(first, first + n_packets)]
