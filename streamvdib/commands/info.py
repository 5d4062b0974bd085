"""``streamvdib info``: what a recording holds."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from streamvdib.commands.options import add_format_options, format_options
from streamvdib.errors import ConfigurationError

if TYPE_CHECKING:
    from streamvdib.events import SensorSize
    from streamvdib.sources import EventSource

_SIZE = re.compile(r"(\d+)[x,](\d+)")


@dataclass(frozen=True)
class Summary:
    """What a recording holds; times in microseconds, None without events."""

    path: str
    format: str
    sensor_width: int
    sensor_height: int
    events: int
    on: int
    off: int
    first_us: int | None
    last_us: int | None
    duration_us: int | None
    images: int
    counters: dict[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``streamvdib info``."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a recording, recognised by content"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per file")
    parser.add_argument(
        "--lenient", action="store_true", help="repair and count bad data instead of stopping"
    )
    parser.add_argument(
        "--sensor-size", type=_size, metavar="WxH", help="overrules what the recording says"
    )
    add_format_options(parser)
    parser.add_argument(
        "--isolated", action="store_true", help="read in a child process with limited memory"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print a summary of each file."""
    from streamvdib.sources import open_source

    options = format_options(arguments.option)
    if arguments.isolated:
        options["isolated"] = True  # an option of recordings only: a live source would name it
    for index, path in enumerate(arguments.files):
        source = open_source(
            path,
            sensor_size=arguments.sensor_size,
            lenient=arguments.lenient,
            **options,
        )
        if source.is_live:
            source.close()
            raise ConfigurationError(f"info reads recordings; {path} is a live source, without end")
        try:
            summary = summarise(source)
        finally:
            source.close()
        if arguments.json:
            print(json.dumps(asdict(summary)))  # noqa: T201 - the command's output
        else:
            print(("\n" if index else "") + as_text(summary))  # noqa: T201 - the command's output
    return 0


def summarise(source: EventSource) -> Summary:
    """Read a recording to its end.

    Args:
        source: a recording.
    """
    n_events = n_on = n_images = 0
    first_us = last_us = None
    for packet in source:
        n_images += len(packet.images)
        if len(packet.events) == 0:
            continue
        n_events += len(packet.events)
        n_on += int(packet.events["on"].sum())
        first_us = int(packet.events[0]["t_us"]) if first_us is None else first_us
        last_us = int(packet.events[-1]["t_us"])
    duration_us = None if first_us is None or last_us is None else last_us - first_us
    return Summary(
        path=source.name,
        format=str(getattr(source, "format_name", "unknown")),
        sensor_width=source.sensor_size.width,
        sensor_height=source.sensor_size.height,
        events=n_events,
        on=n_on,
        off=n_events - n_on,
        first_us=first_us,
        last_us=last_us,
        duration_us=duration_us,
        images=n_images,
        counters=dict(source.counters),
    )


def as_text(summary: Summary) -> str:
    """A summary as lines for people."""
    lines = [
        ("format", summary.format),
        ("sensor", f"{summary.sensor_width}x{summary.sensor_height}"),
        ("events", f"{summary.events} ({summary.on} on, {summary.off} off)"),
    ]
    if summary.duration_us is not None:
        lines += [
            ("first", f"{summary.first_us} us"),
            ("last", f"{summary.last_us} us"),
            ("duration", f"{summary.duration_us / 1e6:.6f} s"),
        ]
    lines.append(("images", str(summary.images)))
    lines += [(cause.replace("_", " "), str(n)) for cause, n in sorted(summary.counters.items())]
    width = max(len(label) for label, _ in lines)
    return "\n".join([summary.path, *(f"  {label:<{width}}  {value}" for label, value in lines)])


def _size(text: str) -> SensorSize:
    from streamvdib.events import SensorSize

    match = _SIZE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"a size must be like 346x260; got {text}")
    return SensorSize(int(match[1]), int(match[2]))
