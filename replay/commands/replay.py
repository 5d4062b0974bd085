"""``streamvdib replay``: play recordings at their own pace, and send them out as a live source."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

from streamvdib.commands.options import add_format_options, format_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..pace import PacedSource
    from ..playlist import Playlist
    from ..republish import Publisher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("source", metavar="SOURCE|FOLDER|DATASET", help="what to play")
    parser.add_argument("--speed", help="a factor, or max (1; max into a file)")
    parser.add_argument("--loop", action="store_true", help="begin again after the end")
    parser.add_argument("--from", dest="from_s", type=float, default=0.0, help="seconds")
    parser.add_argument("--to", dest="to_s", type=float, help="seconds after the first event")
    parser.add_argument("--shuffle", action="store_true", help="recordings in random order")
    parser.add_argument("--seed", type=int, default=0, help="of the order (%(default)s)")
    parser.add_argument("--split", help="of a data set: train, validation or test")
    parser.add_argument("--gap-ms", type=float, default=100.0, help="between recordings")
    parser.add_argument("--sensor-size", help="WIDTHxHEIGHT, where a recording does not say")
    parser.add_argument("--lenient", action="store_true", help="repair bad data and count it")
    add_format_options(parser)
    parser.add_argument("--packet-us", type=int, default=1000, help="sent at once (%(default)s)")
    parser.add_argument(
        "--to-uri",
        default="stdout",
        help="udp://HOST:PORT, zmq://HOST:PORT, dv://HOST:PORT, a file, or stdout (%(default)s)",
    )
    parser.add_argument(
        "--zero-time", action="store_true", help="files and stdout: times from the first event"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        help="seconds before the first packet; zmq: no longer than until somebody subscribes",
    )
    parser.add_argument("--quiet", action="store_true", help="no closing line")


def execute(arguments: argparse.Namespace) -> int:
    """Play everything once, or for ever with ``--loop``."""
    from streamvdib.errors import SinkError

    from ..pace import PacedSource, parse_speed

    playlist = _playlist(arguments)
    speed = arguments.speed or ("max" if _is_file(arguments.to_uri) else "1")
    with (
        closing(PacedSource(playlist, parse_speed(speed))) as source,
        closing(_publisher(arguments, playlist)) as publisher,
    ):
        _wait(publisher, arguments.wait)
        start_s, fate = time.monotonic(), ""
        try:
            for packet in source:
                publisher.publish(packet)
        except SinkError:
            if arguments.to_uri.partition("?")[0] not in ("stdout", "-"):
                raise  # who reads our output may stop at any time
            fate = "the reader of standard output went away before the end"
        finally:
            if not arguments.quiet:
                _report(source, publisher, time.monotonic() - start_s, fate)
    return 0


def _wait(publisher: Publisher, seconds: float) -> None:
    from ..republish import KnowsReaders

    if isinstance(publisher, KnowsReaders):
        publisher.await_reader(seconds)
    else:
        time.sleep(seconds)


def _playlist(arguments: argparse.Namespace) -> Playlist:
    from streamvdib.commands.options import sensor_size

    from ..playlist import Order, Playlist, find_entries

    entries = find_entries(
        arguments.source,
        split=arguments.split,
        sensor_size=sensor_size(arguments.sensor_size),
        lenient=arguments.lenient,
        packet_us=arguments.packet_us,
        **format_options(arguments.option),
    )
    order = Order(
        loop=arguments.loop,
        shuffle=arguments.shuffle,
        seed=arguments.seed,
        from_us=round(arguments.from_s * 1e6),
        to_us=None if arguments.to_s is None else round(arguments.to_s * 1e6),
        gap_us=round(arguments.gap_ms * 1000),
    )
    return Playlist(entries, order)


def _is_file(uri: str) -> bool:
    from ..writers import can_write

    return "://" not in uri and can_write(uri)


def _publisher(arguments: argparse.Namespace, playlist: Playlist) -> Publisher:
    """A live way out, or a file that is written to."""
    from ..republish import open_publisher
    from ..writers.publishing import FilePublisher

    if _is_file(arguments.to_uri):
        _refuse_own_file(arguments.to_uri, playlist.names)
        size = playlist.sensor_size
        return FilePublisher(arguments.to_uri, size, zero_time=arguments.zero_time)
    return open_publisher(arguments.to_uri, playlist.sensor_size, zero_time=arguments.zero_time)


def _refuse_own_file(target: str, names: Iterable[str]) -> None:
    """A recording must not be written over while it is read."""
    from streamvdib.errors import ConfigurationError

    for name in names:
        if os.path.exists(target) and os.path.exists(name) and os.path.samefile(target, name):
            raise ConfigurationError(
                f"{target}: a recording must be written to another file than the one that is "
                "played; it is the same. Choose another name"
            )


def _report(source: PacedSource, publisher: Publisher, seconds: float, fate: str) -> None:
    """One line on standard error: what went out, how late at worst, and what ended it early."""
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in publisher.counters.items())
    amiss = [fate] if fate else []
    amiss += [f"{name} {n}" for name, n in source.counters.items() if n]
    bad = ", ".join(amiss)
    sys.stderr.write(f"{source.name}: {counts} in {seconds:.2f} s; {bad or 'nothing amiss'}\n")
