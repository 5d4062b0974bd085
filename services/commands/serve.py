"""``streamvdib serve SOURCE...``: decoded frames over ZeroMQ, with control, pages and metrics."""

from __future__ import annotations

import argparse
import logging
import signal
import time
from contextlib import ExitStack
from types import FrameType
from typing import TYPE_CHECKING

from streamvdib.commands.learning import add_learning_arguments
from streamvdib.commands.logs import (
    add_log_arguments,
    add_session_log_argument,
    log_to_standard_error,
)
from streamvdib.commands.options import add_model_arguments, add_source_arguments
from streamvdib.commands.safety import add_limit_arguments
from streamvdib.errors import StreamVdibError

if TYPE_CHECKING:
    from ..keys import KeyPair
    from ..serving import Assembly
    from ..supervision import Watchdog

_LOG = logging.getLogger(__name__)
EXIT_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="[NAME=]SOURCE",
        help="a recording, folder, address or -; several are lanes of one model",
    )
    add_model_arguments(parser)
    add_source_arguments(parser)
    _add_replay_arguments(parser)
    _add_socket_arguments(parser)
    _add_people_arguments(parser)
    _add_safety_arguments(parser)
    add_learning_arguments(parser)


def _add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("recordings")
    group.add_argument(
        "--speed", default="1", help="of a recording: a factor, or max (%(default)s)"
    )
    group.add_argument("--loop", action="store_true", help="begin again after the end")
    group.add_argument("--gap-us", type=int, default=100_000, help="between them (%(default)s)")
    group.add_argument(
        "--packet-us", type=int, default=1000, help="read at once, microseconds (%(default)s)"
    )
    group.add_argument("--stay", action="store_true", help="go on serving after the end")


def _add_socket_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sockets")
    group.add_argument("--bind", default="tcp://127.0.0.1:5555", help="frames (%(default)s)")
    group.add_argument("--control", help="control (the port, or path, after --bind)")
    group.add_argument("--curve", metavar="FOLDER", help="keys made by 'streamvdib keys FOLDER'")
    group.add_argument(
        "--insecure",
        action="store_true",
        help="let every machine that reaches --bind or --control read and control, in the clear",
    )
    group.add_argument(
        "--pixels", choices=("f4", "u1"), default="f4", help="float32 or bytes (%(default)s)"
    )
    group.add_argument("--models", metavar="FOLDER", help="more models that control may load")
    group.add_argument("--snapshots", metavar="FOLDER", help="where checkpoints go")
    group.add_argument("--records", metavar="FOLDER", help="where control may record events")


def _add_safety_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("safety")
    add_limit_arguments(group)
    add_session_log_argument(group)


def _add_people_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("people and machines that watch")
    group.add_argument(
        "--view", nargs="?", const="page", choices=("page", "term"), help="a page, or a terminal"
    )
    group.add_argument("--view-port", type=int, default=8765, help="of the page (%(default)s)")
    group.add_argument("--metrics-port", type=int, help="Prometheus and /healthz, on loopback")
    add_log_arguments(group)


def execute(arguments: argparse.Namespace) -> int:
    """Serve until the sources end or somebody asks for the end.

    Returns:
        0 after the end of the sources, SIGTERM, SIGINT or ``shut_down``; 1 if a source or the
        engine failed, or memory stayed past its bound.
    """
    from ..keys import make_key_pair
    from ..serving import assemble
    from ..supervision import Watchdog

    log_to_standard_error(arguments.log, arguments.log_level)
    guest = make_key_pair() if arguments.view and arguments.curve else None
    began_s = time.monotonic()
    with ExitStack() as stack:
        assembly = assemble(arguments, guest)
        stack.callback(assembly.close)
        server = assembly.server
        watchdog = Watchdog(server.tally.pulse)
        _heed_signals(assembly)
        server.start()
        _start_watchers(arguments, assembly, guest, stack)
        about = server.about()
        _LOG.info(
            "serving",
            extra={
                "data": about["data_address"],
                "control": about["control_address"],
                "model": about["model"],
                "run": about["run"],
                "streams": ",".join(assembly.sources),
                "curve": arguments.curve is not None,
            },
        )
        watchdog.ready(f"serving {about['data_address']}")
        _supervise(arguments, assembly, watchdog)
        watchdog.stopping()
    _print_table(assembly, time.monotonic() - began_s)
    failure = server.failure or assembly.keeping.failure
    if failure is not None:
        _LOG.error("failed", extra={"error": str(failure)})
        return EXIT_FAILED
    return 0


def _heed_signals(assembly: Assembly) -> None:
    """SIGTERM and SIGINT end the service in good order; SIGHUP reads the allow-list again."""
    stop = assembly.server.stop_requested

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    def reload(_number: int, _frame: FrameType | None) -> None:
        try:
            _LOG.info("allow-list read", extra={"clients": assembly.server.reload_keys()})
        except (StreamVdibError, OSError) as error:  # the list of before stays in force
            _LOG.error("allow-list not read", extra={"error": str(error)})

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, reload)


def _start_watchers(
    arguments: argparse.Namespace, assembly: Assembly, guest: KeyPair | None, stack: ExitStack
) -> None:
    """The metrics and the page, if they were asked for."""
    server = assembly.server
    if arguments.metrics_port is not None:
        from ..metrics import MetricsServer

        metrics = MetricsServer(
            arguments.metrics_port, server.tally, lambda: server.runtime.stats, server.about
        )
        stack.callback(metrics.close)
        _LOG.info("metrics", extra={"url": f"http://127.0.0.1:{metrics.port}/metrics"})
    if arguments.view:
        from ..view.launch import launch

        about = server.about()
        keys = server.server_keys
        process = launch(
            arguments.view,
            data=about["data_address"],
            control=about["control_address"],
            port=arguments.view_port,
            server_key=keys.public if keys else None,
            keys=guest,
        )
        stack.callback(process.close)
        if arguments.view == "page":
            _LOG.info("page", extra={"url": process.url})


def _supervise(arguments: argparse.Namespace, assembly: Assembly, watchdog: Watchdog) -> None:
    """Wait for the end, and tell systemd of life meanwhile."""
    server = assembly.server
    while not server.stop_requested.wait(0.1):
        watchdog.feed()
        if server.failure is not None or assembly.keeping.failure is not None:
            return
        if server.wait(0.0):
            server.tally.pulse.beat("ended")  # declared: nothing more will come
            if not arguments.stay:
                return


def _print_table(assembly: Assembly, seconds: float) -> None:
    """The closing table on standard output."""
    from streamvdib.commands.table import closing_rows, print_table

    server, station = assembly.server, assembly.station
    counters = dict(server.tally.dropped)
    rows = closing_rows(station.engine, seconds=seconds, source_counters=counters)
    latency = server.tally.frame_latency.percentiles_us()
    rows.append(("frames published", f"{server.tally.n_frames:,}"))
    rows.append(("sensor to socket p50 / p99", f"{latency['p50']:,} / {latency['p99']:,} us"))
    rows.append(("requests answered", f"{server.service.desk.n_requests:,}"))
    rows += [(name, str(value)) for name, value in server.saved.items()]
    print_table(rows, f"{', '.join(assembly.sources)} -> {station.model}")
