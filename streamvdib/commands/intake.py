"""Options of what comes in: filters, pace and a recording beside it, around any source."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING, Any

from streamvdib.commands.options import format_options, sensor_size
from streamvdib.errors import ConfigurationError

if TYPE_CHECKING:
    from streamvdib.sources import EventSource

# Pacing and recording belong to replay, which the library does not import by itself.
PACE = "streamvdib.replay.pace"
RECORDER = "streamvdib.replay.recorder"


def add_intake_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("intake")
    group.add_argument(
        "--filter", metavar="LIST", help="such as hot,baf=2000,roi=10:20:100:80,polarity=on"
    )
    group.add_argument("--speed", default="max", help="of a recording: a factor, or max")
    group.add_argument(
        "--record",
        metavar="FILE",
        help="write the raw events beside decoding; if FILE holds something, to FILE-2 and so on",
    )
    group.add_argument(
        "--status", action="store_true", help="events/s, queue, drops and lag on standard error"
    )
    group.add_argument(
        "--isolated", action="store_true", help="read in a child process: the file is not trusted"
    )


def open_intake(arguments: argparse.Namespace, uri: str) -> EventSource:
    """The source of an address, recorded, then filtered, then paced, as the options say.

    Raises:
        StreamVdibError: it cannot be opened or an option cannot be meant.
    """
    from streamvdib.filters import FilteredSource, parse_filters
    from streamvdib.sources import open_source

    if arguments.record and len(arguments.sources) > 1:
        raise ConfigurationError("--record takes one source; got several. Run them one by one.")
    pace: Any = importlib.import_module(PACE)
    speed = pace.parse_speed(arguments.speed)
    options = format_options(arguments.option)
    if arguments.isolated:
        options["isolated"] = True
    source = open_source(
        uri,
        sensor_size=sensor_size(arguments.sensor_size),
        lenient=arguments.lenient,
        **options,
    )
    if arguments.status:
        from streamvdib.sources.watched import WatchedSource

        source = WatchedSource(source)
    filters = parse_filters(arguments.filter or "", source.sensor_size)
    if arguments.record:
        recorder: Any = importlib.import_module(RECORDER)
        path = recorder.free_name(arguments.record)
        if str(path) != arguments.record:
            sys.stderr.write(f"streamvdib: {arguments.record} is kept; recording to {path}\n")
        source = recorder.RecordedSource(source, recorder.Recorder(path, source.sensor_size))
    if filters:
        source = FilteredSource(source, filters)
    if speed is not None and not source.is_live:
        source = pace.PacedSource(source, speed)
    return source
