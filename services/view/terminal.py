"""The same figures and frames in a terminal, for SSH: half blocks, two pixels to a character."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..client import FrameClient
from ..tracking import Received
from .feed import EventPicture
from .settings import ViewSettings

REFRESH_S = 0.1
_MAX_WIDTH = 64  # characters of one picture
_MAX_STREAMS = 6


class TerminalFeed:
    """The newest of everything. Memory: per stream one frame, one picture and its figures."""

    def __init__(self) -> None:
        self.frames: dict[str, Received] = {}
        self.pictures: dict[str, EventPicture] = {}
        self.figures: dict[str, Any] = {}

    def take(self, message: Received, description: dict[str, Any]) -> None:
        """Remember one message."""
        stream, kind = message.header.stream, message.header.kind
        if kind == "frame" and message.pixels.ndim == 2:
            self.frames[stream] = message
        elif kind == "stats":
            self.figures = dict(message.figures)
        elif kind == "events":
            if stream not in self.pictures:
                width, height = description.get("sensor", [64, 64])
                self.pictures[stream] = EventPicture(int(height), int(width))
            self.pictures[stream].add(message.values)


def show(settings: ViewSettings, *, seconds: float | None = None) -> None:
    """Draw until interrupted, or for some seconds."""
    feed = TerminalFeed()
    end_s = None if seconds is None else time.monotonic() + seconds
    with (
        FrameClient(
            settings.data,
            kinds=("frame", "events", "stats"),
            newest=False,
            server_key=settings.server_key,
            keys=settings.keys,
        ) as client,
        Live(console=Console(), auto_refresh=False, transient=True) as live,
    ):
        due_s = 0.0
        while end_s is None or time.monotonic() < end_s:
            message = client.receive(REFRESH_S)
            if message is not None:
                about = client.tracker.description.get(message.header.stream, {})
                feed.take(message, about)
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + REFRESH_S
                live.update(render(feed, client.tracker.state, client.tracker.n_missed))
                live.refresh()


def render(feed: TerminalFeed, state: str, n_missed: int) -> RenderableType:
    """Everything that is shown at one moment."""
    cards = []
    for stream in sorted(set(feed.frames) | set(feed.pictures))[:_MAX_STREAMS]:
        parts: list[RenderableType] = []
        if stream in feed.pictures:
            parts.append(half_blocks(feed.pictures[stream].render()))
        if stream in feed.frames:
            parts.append(half_blocks(_as_bytes(feed.frames[stream].pixels)))
        cards.append(Panel(Columns(parts), title=stream, expand=False))
    return Group(*cards, _table(feed.figures, state, n_missed))


def half_blocks(pixels: npt.NDArray[np.uint8]) -> Text:
    """A grey picture as text: the upper half block's colours are two pixels of a column."""
    step = max(1, -(-pixels.shape[1] // _MAX_WIDTH))
    pixels = pixels[::step, ::step]
    if len(pixels) % 2:
        pixels = np.vstack([pixels, pixels[-1:]])
    text = Text()
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for a, b in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append("\u2580", style=f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
        text.append("\n")
    return text


def _table(figures: dict[str, Any], state: str, n_missed: int) -> Table:
    table = Table.grid(padding=(0, 2))
    rows: list[tuple[str, str]] = [("state", state), ("missed here", str(n_missed))]
    if figures:
        latency = figures["frame_latency_us"]
        rows += [
            ("events/s", f"{figures['events_per_s']:,.0f}"),
            ("steps/s", f"{figures['steps_per_s']:,.0f}"),
            ("spikes/step", f"{figures['spikes_per_step']:.2f}"),
            ("latency p50/p99", f"{latency['p50'] / 1000:.2f} / {latency['p99'] / 1000:.2f} ms"),
            ("dropped", ", ".join(f"{k} {v}" for k, v in figures["dropped"].items()) or "nothing"),
        ]
        if figures["learning"]:
            learning = figures["learning"]
            rows += [
                ("learning", "on" if learning["on"] else "off"),
                ("score", _short(learning["score"])),
                ("nats/step", _short(learning["nats_per_step"])),
            ]
    for name, value in rows:
        table.add_row(f"[dim]{name}[/dim]", value)
    return table


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _as_bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
