"""Servers of a fake engine on free loopback ports."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from streamvdib.services.addresses import parse_address
from streamvdib.services.intake import Intake
from streamvdib.services.server import Server, ServerOptions

sys.path.insert(0, str(Path(__file__).parent))

from fakes import FakeStation, PacedPackets

ServerMaker = Callable[..., Server]


@pytest.fixture
def make_server() -> Iterator[ServerMaker]:
    """Servers of a fake station, closed at the end of the test."""
    servers: list[Server] = []

    def make(
        station: FakeStation | None = None,
        *,
        sources: Mapping[str, Any] | None = None,
        data: str = "tcp://127.0.0.1:*",
        control: str = "tcp://127.0.0.1:*",
        start: bool = True,
        **options: Any,
    ) -> Server:
        station = station or FakeStation()
        sources = sources or {name: PacedPackets() for name in station.streams}
        intakes = {name: Intake(source, is_live=False) for name, source in sources.items()}
        addresses = parse_address(data), parse_address(control)
        server = Server(station, intakes, ServerOptions(*addresses, **options))
        servers.append(server)
        if start:
            server.start()
        return server

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def fake_station() -> type[FakeStation]:
    return FakeStation


@pytest.fixture
def paced_packets() -> type[PacedPackets]:
    return PacedPackets
