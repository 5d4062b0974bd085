"""What a run shows: frames as pictures for sinks, and a line that says how far it is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamvdib.commands.table import learning_rows

if TYPE_CHECKING:
    from streamvdib.engine import Engine, Frame
    from streamvdib.sinks.rendering import GrayImage


class Painter:
    """Frames as pictures for sinks, with the events since the frame before beside them if asked.

    Memory: one count per input line.
    """

    def __init__(self, engine: Engine, *, with_events: bool, scale: int) -> None:
        from streamvdib.sinks.rendering import EventPicture

        self.engine, self.scale = engine, scale
        self.events = None
        if with_events:
            self.events = EventPicture(engine.model.encoder.input_shape, engine.n_lanes)
            engine.observers.append(self.events.observe)

    def picture(self, frame: Frame) -> GrayImage:
        """The picture of a frame, (height, width)."""
        from streamvdib.sinks.rendering import enlarge, side_by_side, streams_as_gray

        picture = streams_as_gray(frame.pixels)
        if self.events is not None:
            events = self.engine.assemble(self.events.pictures())
            self.events.clear()
            picture = side_by_side([streams_as_gray(events), picture])
        return enlarge(picture, self.scale)


@contextmanager
def told_if_slow(text: str, after_s: float = 3.0) -> Iterator[None]:
    """Say on standard error what takes so long, if it takes longer than ``after_s``."""
    timer = threading.Timer(after_s, lambda: print(text, file=sys.stderr, flush=True))  # noqa: T201
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def progress(name: str, *, quiet: bool) -> Iterator[Callable[[Engine], None]]:
    """A line on standard error that says how far the run is; silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name)

        def show(engine: Engine) -> None:
            if bar.disable:
                return
            steps, frames = engine.statistics.steps, engine.statistics.frames
            said = [f"{name}: {steps:,} steps", f"{frames:,} frames"]
            if engine.statistics.updates:
                said += [f"{engine.statistics.updates:,} updates"]
                said += [f"{title.split(',')[0]} {text}" for title, text in learning_rows(engine)]
            bar.update(task, description=", ".join(said))

        yield show
