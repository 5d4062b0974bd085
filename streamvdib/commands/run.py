"""``streamvdib run SOURCE...``: events in, natural frames out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from streamvdib.commands.options import (
    add_model_arguments,
    add_source_arguments,
    load_chosen_model,
    make_engine,
    sensor_size,
)
from streamvdib.commands.safety import Safety, add_safety_arguments

if TYPE_CHECKING:
    from streamvdib.engine import Engine, Frame
    from streamvdib.model import Model
    from streamvdib.sinks import Sink
    from streamvdib.sinks.rendering import GrayImage
    from streamvdib.sources import EventSource


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a recording, address or -")
    add_model_arguments(parser)
    add_source_arguments(parser)
    add_safety_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--out", help="a folder for PNG files, or a .gif or .mp4 file")
    group.add_argument("--scale", type=int, default=1, help="enlarge pictures (%(default)s)")
    group.add_argument("--with-events", action="store_true", help="events beside every frame")
    group.add_argument("--quiet", action="store_true", help="no progress and no table")


def execute(arguments: argparse.Namespace) -> int:
    """Decode every source, one after the other."""
    with Safety(arguments) as safety:
        model = load_chosen_model(arguments)
        for index, uri in enumerate(arguments.sources):
            if not safety.is_done(index):
                _run_source(arguments, model, index, uri, safety)
    return safety.exit_code


def _out_path(arguments: argparse.Namespace, index: int) -> Path | None:
    """Where a source's frames go: each its own place where there are several."""
    if arguments.out is None:
        return None
    path = Path(arguments.out)
    if len(arguments.sources) == 1:
        return path
    name = f"{index:03d}-{Path(arguments.sources[index]).stem}"
    return path / name if path.suffix == "" else path.with_name(f"{path.stem}-{name}{path.suffix}")


def _run_source(
    arguments: argparse.Namespace, model: Model, index: int, uri: str, safety: Safety
) -> None:
    from streamvdib.commands.table import closing_rows, print_table
    from streamvdib.sinks import open_sink
    from streamvdib.sources import open_source

    out = _out_path(arguments, index)
    source = open_source(
        uri, sensor_size=sensor_size(arguments.sensor_size), lenient=arguments.lenient
    )
    with closing(source):
        engine = make_engine(arguments, model, source.sensor_size, is_live=source.is_live)
        period_us = max(1, engine.decode_every) * model.dt_us
        sink = open_sink(out, frames_per_second=1e6 / period_us) if out else None
        began = time.perf_counter()
        try:
            _stream(arguments, source, engine, sink, safety, index)
        finally:
            safety.finish()
            if sink is not None:
                sink.close()
            if not arguments.quiet:
                rows = closing_rows(
                    engine,
                    seconds=time.perf_counter() - began,
                    source_counters=source.counters,
                )
                print_table(rows, f"{source.name} -> {model.name}")


def _stream(
    arguments: argparse.Namespace,
    source: EventSource,
    engine: Engine,
    sink: Sink | None,
    safety: Safety,
    index: int,
) -> None:
    """Pull every packet through the engine and hand the frames to the sink."""
    painter = Painter(engine, with_events=arguments.with_events, scale=arguments.scale)
    with progress(source.name, quiet=arguments.quiet) as show:
        for packet in safety.packets(engine, source, source, index):
            for frame in safety.advance(packet):
                if sink is not None:
                    sink.push(frame, painter.picture(frame))
            show(engine)


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
def progress(name: str, *, quiet: bool) -> Iterator[Callable[[Engine], None]]:
    """A line on standard error that says how far the run is; silent where that is no terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name)

        def show(engine: Engine) -> None:
            steps, frames = engine.statistics.steps, engine.statistics.frames
            bar.update(task, description=f"{name}: {steps:,} steps, {frames:,} frames")

        yield show
