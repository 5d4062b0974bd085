"""Figures for Prometheus at ``/metrics``, and ``/healthz`` for whatever restarts services.

The figures are read when they are asked for; counting them costs the engine nothing more.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from streamvdib.errors import MissingExtraError, ServiceError

from .tally import LATENCY_BOUNDS_S, Latencies, Tally

_MAX_CONNECTIONS = 16
Figures = Callable[[], Mapping[str, Any]]


class MetricsServer:
    """Serves both pages from a thread of its own.

    ``/healthz`` answers 200 while the engine's thread lives and its sources have not failed,
    else 503; the body says why.

    Args:
        port: on loopback; 0 chooses a free one.
        tally: of the service.
        figures: ``stats`` of the runtime.
        about: what the service knows of itself.
        host: where to listen.
    """

    def __init__(
        self, port: int, tally: Tally, figures: Figures, about: Figures, host: str = "127.0.0.1"
    ) -> None:
        text = _exposition(tally, figures, about)
        try:
            self._server = _Server((host, port), _handler(tally, figures, text))
        except OSError as error:
            raise ServiceError(
                f"--metrics-port must be free; {host}:{port} is not: {error}"
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    """A thread per connection, of at most ``_MAX_CONNECTIONS``; more are closed unanswered."""

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread if there is a place for it."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


def health(tally: Tally, figures: Figures) -> tuple[bool, dict[str, Any]]:
    """Whether the service does its work, and what it does."""
    pulse = tally.pulse
    sources = dict(figures().get("sources", {}))
    is_well = pulse.is_alive(5.0) and pulse.state != "failed" and "failed" not in sources.values()
    return is_well, {
        "ok": is_well,
        "state": pulse.state if pulse.is_alive(5.0) else "hung",
        "step": pulse.step,
        "sources": sources,
    }


def _handler(
    tally: Tally, figures: Figures, text: Callable[[], bytes]
) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            """Answer one of two pages."""
            if self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", text())
            elif self.path == "/healthz":
                is_well, body = health(tally, figures)
                self._answer(200 if is_well else 503, "application/json", json.dumps(body).encode())
            else:
                self._answer(404, "text/plain", b"there are /metrics and /healthz\n")

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a line each."""

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _exposition(tally: Tally, figures: Figures, about: Figures) -> Callable[[], bytes]:
    """A function that writes Prometheus' text format."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest
    except ImportError as error:
        raise MissingExtraError(
            "--metrics-port", extra="metrics", missing="prometheus-client"
        ) from error
    registry = CollectorRegistry()
    registry.register(_Collector(tally, figures, about))
    return lambda: generate_latest(registry)


class _Collector:
    """What prometheus_client asks at every scrape."""

    def __init__(self, tally: Tally, figures: Figures, about: Figures) -> None:
        self._tally, self._figures, self._about = tally, figures, about

    def collect(self) -> Iterator[Any]:
        """Every metric family; docs/serving.md lists them."""
        yield from self._totals()
        yield from self._gauges()
        yield _histogram(
            "streamvdib_step_seconds", "time that a step takes", self._tally.step_latency
        )
        yield _histogram(
            "streamvdib_frame_seconds",
            "from the sensor time of a frame to its publication",
            self._tally.frame_latency,
        )

    def _totals(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily

        about = self._about()
        for name, help_text, value in (
            ("events", "events taken in", self._tally.n_events),
            ("steps", "time steps made", self._tally.n_steps),
            ("frames", "frames published", self._tally.n_frames),
            ("spikes", "readout spikes", self._tally.n_spikes),
            ("requests", "control requests answered", about["requests"]),
            ("connections_let_in", "connections the authenticator let in", about["let_in"]),
        ):
            yield CounterMetricFamily(f"streamvdib_{name}", help_text, value=value)
        for name, label, values in (
            ("dropped", "cause", self._tally.dropped),
            ("connections_refused", "reason", about["refused"]),
            ("requests_refused", "reason", about["requests_refused"]),
        ):
            family = CounterMetricFamily(
                f"streamvdib_{name}", f"{name.replace('_', ' ')} by {label}", labels=[label]
            )
            for key, value in values.items():
                family.add_metric([key], value)
            yield family

    def _gauges(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        figures, about = self._figures(), self._about()
        learning = figures.get("learning") or {}
        for name, help_text, value in (
            ("weight_generation", "rises with every change of the weights", "generation"),
            ("spikes_per_step", "readout spikes per step", "spikes_per_step"),
            ("events_per_second", "events taken in a second", "events_per_s"),
        ):
            yield GaugeMetricFamily(
                f"streamvdib_{name}", help_text, value=float(figures.get(value, 0))
            )
        for name in ("loss", "score", "nats_per_step", "beta", "learning_rate", "on"):
            if learning.get(name) is not None:
                yield GaugeMetricFamily(
                    f"streamvdib_learning_{name}", f"learning: {name}", value=float(learning[name])
                )
        yield GaugeMetricFamily(
            "streamvdib_connections", "peers of the data socket", value=about["connections"]
        )
        for name, value in figures.get("safety", {}).items():
            yield GaugeMetricFamily(f"streamvdib_{name}", name.replace("_", " "), value=value)
        queues = GaugeMetricFamily(
            "streamvdib_queue_packets", "packets that wait for the engine", labels=["stream"]
        )
        for stream, n_waiting in figures.get("queue", {}).items():
            queues.add_metric([stream], n_waiting)
        yield queues
        states = GaugeMetricFamily(
            "streamvdib_source_up", "1 while a source runs", labels=["stream", "state"]
        )
        for stream, state in figures.get("sources", {}).items():
            states.add_metric([stream, state], float(state == "running"))
        yield states


def _histogram(name: str, help_text: str, latencies: Latencies) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    total, buckets = 0, []
    for bound, count in zip((*LATENCY_BOUNDS_S, float("inf")), latencies.counts, strict=True):
        total += count
        buckets.append((f"{bound:g}" if bound != float("inf") else "+Inf", total))
    return HistogramMetricFamily(name, help_text, buckets=buckets, sum_value=latencies.sum_s)
