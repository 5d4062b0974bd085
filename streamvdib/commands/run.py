"""``streamvdib run SOURCE...``: events in, natural frames out."""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from streamvdib.commands.intake import add_intake_arguments, open_intake
from streamvdib.commands.learning import (
    Learning,
    add_learning_arguments,
    add_outcome_arguments,
)
from streamvdib.commands.logs import add_log_arguments, log_to_standard_error
from streamvdib.commands.options import (
    add_model_arguments,
    add_source_arguments,
    load_chosen_model,
    make_engine,
)
from streamvdib.commands.safety import Safety, add_safety_arguments
from streamvdib.commands.showing import Painter, progress

if TYPE_CHECKING:
    from streamvdib.engine import Engine
    from streamvdib.model import Model
    from streamvdib.sinks import Sink
    from streamvdib.sources import EventSource


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a recording, address or -")
    add_model_arguments(parser)
    add_source_arguments(parser)
    add_intake_arguments(parser)
    add_learning_arguments(parser)
    add_outcome_arguments(parser)
    add_safety_arguments(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--out", help="a folder for PNG files, or a .gif or .mp4 file")
    group.add_argument("--scale", type=int, default=1, help="enlarge pictures (%(default)s)")
    group.add_argument("--with-events", action="store_true", help="events beside every frame")
    group.add_argument("--quiet", action="store_true", help="no progress and no table")
    add_log_arguments(group)


def execute(arguments: argparse.Namespace) -> int:
    """Decode every source, one after the other."""
    log_to_standard_error(arguments.log, arguments.log_level)
    with Safety(arguments) as safety, Learning(arguments) as learning:
        model = load_chosen_model(arguments)
        for index, uri in enumerate(arguments.sources):
            if not safety.is_done(index):
                model = Run(arguments, safety, learning).decode(model, index, uri)
        learning.save(model)
    return safety.exit_code


class Run:
    """One source after another through an engine of its own."""

    def __init__(self, arguments: argparse.Namespace, safety: Safety, learning: Learning) -> None:
        self.arguments, self.safety, self.learning = arguments, safety, learning

    def decode(self, model: Model, index: int, uri: str) -> Model:
        """Decode one source; return the model with what was learned from it."""
        from streamvdib.sinks import open_sink

        source = open_intake(self.arguments, uri)
        with closing(source):
            engine = make_engine(self.arguments, model, source.sensor_size, is_live=source.is_live)
            self.learning.attach(engine, uri)
            out = self._out_path(index)
            period_us = max(1, engine.decode_every) * model.dt_us
            sink = open_sink(out, frames_per_second=1e6 / period_us) if out else None
            began = time.perf_counter()
            try:
                self._stream(source, engine, sink, index)
            finally:
                self.safety.finish()
                if sink is not None:
                    sink.close()
                self._print_table(source, engine, time.perf_counter() - began)
        return engine.model

    def _stream(self, source: EventSource, engine: Engine, sink: Sink | None, index: int) -> None:
        """Pull every packet through the engine and hand the frames to the sink."""
        given = self.arguments
        painter = Painter(engine, with_events=given.with_events, scale=given.scale)
        packets = self.safety.packets(
            engine, source, self.learning.watched(source), index, self.learning.about
        )
        with progress(source.name, quiet=given.quiet) as show:
            for packet in packets:
                for frame in self.safety.advance(packet):
                    if sink is not None:
                        sink.push(frame, painter.picture(frame))
                show(engine)

    def _out_path(self, index: int) -> Path | None:
        """Where a source's frames go: each its own place where there are several."""
        if self.arguments.out is None:
            return None
        path, sources = Path(self.arguments.out), self.arguments.sources
        if len(sources) == 1:
            return path
        name = f"{index:03d}-{Path(sources[index]).stem}"
        if path.suffix == "":
            return path / name
        return path.with_name(f"{path.stem}-{name}{path.suffix}")

    def _print_table(self, source: EventSource, engine: Engine, seconds: float) -> None:
        from streamvdib.commands.table import closing_rows, print_table

        if not self.arguments.quiet:
            rows = closing_rows(engine, seconds=seconds, source_counters=source.counters)
            rows += [(n.replace("_", " "), f"{c:,}") for n, c in self.safety.counters.items() if c]
            print_table(rows, f"{source.name} -> {engine.model.name}")
