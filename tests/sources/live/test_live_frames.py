"""Live and recorded input give the same frames, bit for bit."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamvdib.replay.republish import UdpPublisher
from streamvdib.replay.writers import open_writer

from streamvdib.engine import Engine
from streamvdib.events import EventArray, EventPacket, SensorSize, as_events
from streamvdib.geometry import fit_geometry
from streamvdib.sources import EventSource, open_source
from streamvdib.sources.live import LiveOptions, LiveSource
from streamvdib.sources.network import UdpFeed
from tests.models import small_model

SIZE = SensorSize(4, 3)
N_EVENTS = 3000


def small_events() -> EventArray:
    """Three seconds on a 4x3 sensor, with a silence of 200 ms."""
    random = np.random.default_rng(3)
    t_us = np.cumsum(random.integers(0, 2000, N_EVENTS))
    t_us[N_EVENTS // 2 :] += 200_000
    return as_events(
        t_us,
        random.integers(0, 4, N_EVENTS),
        random.integers(0, 3, N_EVENTS),
        random.random(N_EVENTS) < 0.5,
    )


def frames_of(source: EventSource, n_events: int) -> list[Any]:
    engine = Engine(
        small_model(),
        fit_geometry(SIZE, (2, 3, 4)),
        seed=5,
        policy="count" if source.is_live else "raise",
    )
    frames: list[Any] = []
    n_seen = 0
    for packet in source:
        frames += engine.advance(packet)
        n_seen += len(packet.events)
        if n_seen >= n_events:
            break
    source.close()
    return frames


def assert_same(live: list[Any], recorded: list[Any]) -> None:
    n = min(len(live), len(recorded))
    assert n > 2500
    for a, b in zip(live[:n], recorded[:n], strict=True):
        assert (a.step, a.start_us, a.end_us) == (b.step, b.start_us, b.end_us)
        assert np.array_equal(a.pixels, b.pixels)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "a.es"
    writer = open_writer(path, SIZE)
    writer.write(EventPacket(small_events(), 0))
    writer.close()
    return path


def test_a_pipe_decodes_as_the_file(recording: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "a.pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: pipe.write_bytes(recording.read_bytes()))
    thread.start()
    live = frames_of(open_source(f"pipe:{pipe}?once=1"), N_EVENTS)
    thread.join()
    assert_same(live, frames_of(open_source(recording), N_EVENTS))


def test_udp_decodes_as_the_file(recording: Path) -> None:
    events = small_events()
    feed = UdpFeed("127.0.0.1", 0, SIZE)
    source = LiveSource(feed, LiveOptions(clock_rate=0.0))
    publisher = UdpPublisher("127.0.0.1", feed.port, batch=7)
    publisher.publish(EventPacket(events, 0))
    publisher.close()
    live = frames_of(source, int(np.count_nonzero(events["t_us"] < events["t_us"][-1])))
    assert_same(live, frames_of(open_source(recording), N_EVENTS))
