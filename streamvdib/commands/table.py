"""The closing table of a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamvdib.engine import Engine

CAME = ("datagrams",)
"""Of a source's counters those that say what came, and nothing amiss."""


def closing_rows(
    engine: Engine, *, seconds: float, source_counters: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Names and figures of a finished run.

    Args:
        engine: after its last packet.
        seconds: wall time that the run took.
        source_counters: what the source skipped, repaired or lost, by cause, and what ``CAME``.
    """
    statistics, binners = engine.statistics, engine.binners
    events = sum(binner.counters.events for binner in binners)
    sensor_s = statistics.steps * engine.model.dt_us / 1e6
    rows = [
        ("events", f"{events:,}"),
        ("time steps", f"{statistics.steps:,} of {engine.model.dt_us} us"),
        ("frames", f"{statistics.frames:,}"),
        ("events per second", f"{events / max(seconds, 1e-9):,.0f}"),
        ("real-time factor", f"{sensor_s / max(seconds, 1e-9):.1f} x"),
        ("step latency p50 / p99", _percentiles(statistics.step_latency.percentile)),
        ("decode latency p50 / p99", _percentiles(statistics.decode_latency.percentile)),
        ("readout spikes per step", _number(statistics.spikes_per_step)),
    ]
    if engine.learner is not None:
        rows.append(("weight updates", _updates(statistics.updates, engine.learner.paused)))
        rows += learning_rows(engine) + _guard_rows(engine)
    rows[1:1] = [(name, f"{n:,}") for name, n in source_counters.items() if name in CAME]
    drops = {name: n for name, n in source_counters.items() if name not in CAME}
    for name in ("outside", "off_sensor", "late", "restarts"):
        drops[name] = drops.get(name, 0) + sum(getattr(b.counters, name) for b in binners)
    rows.append(("dropped or repaired", _causes(drops)))
    return rows


def learning_rows(engine: Engine) -> list[tuple[str, str]]:
    """Both terms of the loss at the last update, scored before it, if the learner says them."""
    metrics: Mapping[str, float] = getattr(engine.learner, "metrics", dict)()
    named = (
        ("decoder_nats", "decoder loss, last update", "nats per frame"),
        ("information_nats_per_step", "information cost, last update", "nats per step"),
    )
    return [(title, f"{metrics[key]:.1f} {unit}") for key, title, unit in named if key in metrics]


def _updates(n_updates: int, is_paused: bool) -> str:
    if n_updates or is_paused:
        return f"{n_updates:,}"
    return "none: no target was known when an update was due"


def _guard_rows(engine: Engine) -> list[tuple[str, str]]:
    """What a guard turned down, where it did."""
    metrics: Mapping[str, float] = getattr(engine.learner, "metrics", dict)()
    named = (
        ("guard_refused", "targets refused"),
        ("guard_undone", "updates undone"),
        ("guard_freezes", "times that learning froze"),
    )
    return [(title, f"{metrics[key]:,.0f}") for key, title in named if metrics.get(key)]


def print_table(rows: list[tuple[str, str]], title: str) -> None:
    """Print the rows on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows:
        table.add_row(name, value)
    Console().print(table)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _percentiles(percentile: object) -> str:
    assert callable(percentile)
    values = [percentile(50), percentile(99)]
    return " / ".join("-" if math.isnan(v) else f"{v * 1e6:,.1f} us" for v in values)


def _causes(counters: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counters.items() if count) or "none"
