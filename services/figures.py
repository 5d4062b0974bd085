"""The figures that ``stats`` messages, control, the pages and the metrics all show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .intake import Intake
from .station import Reading, Station
from .tally import Tally


def figures_of(
    station: Station, intakes: Mapping[str, Intake], tally: Tally, reading: Reading
) -> dict[str, Any]:
    """Plain maps, text and numbers; docs/wire.md lists them. Rates are since the last call."""
    learning = reading.learning
    return {
        **tally.rates(),
        "state": tally.pulse.state,
        "step": reading.step,
        "n_events": tally.n_events,
        "n_steps": tally.n_steps,
        "n_frames": tally.n_frames,
        "generation": reading.generation,
        "frame_latency_us": tally.frame_latency.percentiles_us(),
        "step_latency_us": tally.step_latency.percentiles_us(),
        "dropped": dict(tally.dropped),
        "queue": {name: intake.n_waiting for name, intake in intakes.items()},
        "sources": {name: intake.state for name, intake in intakes.items()},
        "safety": dict(reading.safety),
        "decode_every": station.decode_every,
        "learning": None if learning is None else vars(learning).copy(),
    }
