"""Waiting for what must happen, however slow the machine: deadlines end only tests that fail."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamvdib.services.client import FrameClient
from streamvdib.services.server import Server
from streamvdib.services.tracking import Received

PATIENCE_S = 60.0


def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Return as soon as ``condition`` holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "what must happen did not"
        time.sleep(0.01)


def receive_until(
    client: FrameClient, enough: Callable[[list[Received]], object]
) -> list[Received]:
    """Messages until ``enough`` of them have come."""
    found: list[Received] = []
    deadline = time.monotonic() + PATIENCE_S
    while not enough(found):
        assert time.monotonic() < deadline, f"not enough came: {len(found)} messages"
        message = client.receive(0.5)
        if message is not None:
            found.append(message)
    return found


def receive_one(client: FrameClient) -> Received:
    """The next message; it must come."""
    return receive_until(client, len)[0]


def receive_some(client: FrameClient, n: int) -> list[Received]:
    """The next ``n`` messages; they must come."""
    return receive_until(client, lambda found: len(found) >= n)


def wait_for_state(client: FrameClient, *states: str) -> None:
    """Read until the service says one of ``states``."""
    receive_until(client, lambda _: client.tracker.state in states)


def wait_for_subscription(client: FrameClient) -> None:
    """Until the service has read the subscriptions: that of heartbeats is the last of them."""
    receive_until(client, lambda _: client.tracker.state != "silent")


def wait_for_the_end(server: Server) -> None:
    """Until the sources have ended and every message has been handed to the socket."""
    until(lambda: server.wait(0.0))
    until(lambda: server.service.outbox.n_waiting == 0)
