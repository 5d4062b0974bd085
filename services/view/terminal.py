"""The same figures and frames in a terminal, for SSH: half blocks, two pixels to a character."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..client import FrameClient
from ..tracking import Received
from .feed import EventPicture
from .settings import ViewSettings

REFRESH_S = 0.1
_MAX_WIDTH = 64  # characters of one picture
_CARD_WIDTH = 64  # characters that two pictures of 28 pixels across and a gap need
_GAP = 2
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
                tracker, size = client.tracker, live.console.size
                picture = render(
                    feed, tracker.state, tracker.n_missed, width=size.width, height=size.height
                )
                live.update(picture)
                live.refresh()


def render(
    feed: TerminalFeed, state: str, n_missed: int, *, width: int = 80, height: int = 24
) -> RenderableType:
    """Everything that is shown at one moment, within ``width`` columns and ``height`` lines."""
    figures = _figures(feed.figures, state, n_missed)
    figures_lines = len(figures.wrap(Console(width=width), width))
    streams = sorted(set(feed.frames) | set(feed.pictures))[:_MAX_STREAMS]
    n_across = max(1, min(len(streams), width // _CARD_WIDTH))
    n_down = -(-len(streams) // n_across)
    lines = (height - figures_lines - 2) // max(1, n_down) - 1
    columns = min(_MAX_WIDTH, width // (2 * n_across) - _GAP)
    cards = Table.grid(padding=(0, _GAP, 0, 0))
    for first in range(0, len(streams), n_across):
        cards.add_row(*[_card(feed, s, columns, lines) for s in streams[first : first + n_across]])
    hint = Text("events (on bright, off dark) | frame", style="dim")
    return Group(hint, cards, figures)


def _card(feed: TerminalFeed, stream: str, columns: int, lines: int) -> RenderableType:
    """One stream: its name, and events and frame side by side."""
    pictures: list[RenderableType] = []
    if stream in feed.pictures:
        pictures.append(half_blocks(feed.pictures[stream].render(), columns, lines))
    if stream in feed.frames:
        pictures.append(half_blocks(_as_bytes(feed.frames[stream].pixels), columns, lines))
    pair = Table.grid(padding=(0, 1, 0, 0))
    pair.add_row(*pictures)
    return Group(Text(stream, style="bold"), pair)


def half_blocks(pixels: npt.NDArray[np.uint8], columns: int, lines: int) -> Text:
    """A grey picture as text: the upper half block's colours are two pixels of a column.

    Args:
        pixels: (height, width); every second, third, ... is taken where they are too many.
        columns: characters that it may be wide.
        lines: that it may be high.
    """
    height, width = pixels.shape
    step = max(1, -(-width // max(1, columns)), -(-height // (2 * max(1, lines))))
    pixels = pixels[::step, ::step]
    if len(pixels) % 2:
        pixels = np.vstack([pixels, pixels[-1:]])
    text = Text(no_wrap=True)
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        for (a, b), run in itertools.groupby(zip(upper.tolist(), lower.tolist(), strict=True)):
            style = f"rgb({a},{a},{a}) on rgb({b},{b},{b})"
            text.append("\u2580" * len(list(run)), style=style)
        text.append("\n")
    text.right_crop(1)
    return text


def _figures(figures: dict[str, Any], state: str, n_missed: int) -> Text:
    """Names and values in as few lines as they need."""
    rows: list[tuple[str, str]] = [("state", state), ("missed here", str(n_missed))]
    if figures:
        latency = figures["frame_latency_us"]
        rows += [
            ("events/s", f"{figures['events_per_s']:,.0f}"),
            ("steps/s", f"{figures['steps_per_s']:,.0f}"),
            ("spikes/step", f"{figures['spikes_per_step']:.2f}"),
            ("latency p50/p99", f"{latency['p50'] / 1000:.1f} / {latency['p99'] / 1000:.1f} ms"),
            ("dropped", ", ".join(f"{k} {v}" for k, v in figures["dropped"].items()) or "nothing"),
        ]
        if figures["learning"]:
            learning = figures["learning"]
            rows += [
                ("learning", "on" if learning["on"] else "off"),
                ("score", _short(learning["score"])),
                ("nats/step", _short(learning["nats_per_step"])),
            ]
    parts = [Text.assemble((f"{name} ", "dim"), value) for name, value in rows]
    return Text("   ").join(parts)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _as_bytes(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray(np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
