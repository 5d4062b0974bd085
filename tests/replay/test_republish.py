"""A recording sent out as a live source comes in as the same events."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamvdib.replay.republish import open_publisher
from streamvdib.replay.writers import open_writer

from streamvdib.errors import ConfigurationError, SinkError
from streamvdib.events import EventArray, EventPacket
from streamvdib.sources import open_source


def packets_of(tools: Any, events: EventArray) -> list[EventPacket]:
    """Packets, and an empty one that says that time went on."""
    return [*tools.cut(events), EventPacket(events[:0], int(events["t_us"][-1]) + 10_000)]


def first_events(source: Any, n_events: int) -> EventArray:
    found: list[EventArray] = []
    for packet in source:
        found.append(packet.events)
        if sum(map(len, found)) >= n_events:
            break
    source.close()
    return np.concatenate(found)


def test_over_zmq_events_and_silence_arrive_exactly(tools: Any) -> None:
    pytest.importorskip("zmq")
    events = tools.some_events(5000)
    publisher: Any = open_publisher("zmq://127.0.0.1:0", tools.size)
    port = publisher.address.rpartition(":")[2]
    may_stop = threading.Event()

    def publish_until_seen() -> None:
        """The first packets tell the sensor; the subscriber is slow to join."""
        k = 0
        while not may_stop.wait(0.01):
            publisher.publish(EventPacket(events[:0], -1000 + k))
            k += 1 if k < 900 else 0

    hello = threading.Thread(target=publish_until_seen)
    hello.start()
    source: Any = open_source(f"zmq://127.0.0.1:{port}?connect_s=20")
    assert source.sensor_size == tools.size
    packets = iter(source)
    next(packets)
    may_stop.set()
    hello.join()
    for packet in packets_of(tools, events):
        publisher.publish(packet)
    assert np.array_equal(first_events(source, 5000), events)
    assert source.counters["lost_messages"] == 0
    publisher.close()
    publisher.close()


def test_over_dv_tcp_events_arrive_exactly(tools: Any) -> None:
    pytest.importorskip("dv_processing")
    events = tools.some_events(3000)
    publisher = open_publisher("dv://127.0.0.1:47361", tools.size)
    source = open_source("dv://127.0.0.1:47361?connect_s=20")
    assert source.sensor_size == tools.size
    packets = iter(source)
    publishing = threading.Thread(
        target=lambda: [publisher.publish(one) for one in packets_of(tools, events)]
    )
    publishing.start()
    complete = events[events["t_us"] < events["t_us"][-1]]
    found = first_events(packets_source(source, packets), len(complete))
    publishing.join()
    publisher.close()
    assert np.array_equal(found[: len(complete)], complete)


def packets_source(source: Any, packets: Any) -> Any:
    """An iterator that closes its source."""

    class Both:
        def __iter__(self) -> Any:
            return packets

        def close(self) -> None:
            source.close()

    return Both()


@pytest.mark.parametrize(("name", "start_us"), [("", 0), ("es", 0), ("es", 1_589_163_147_368_868)])
def test_standard_output_of_one_is_standard_input_of_the_other(
    tools: Any, tmp_path: Path, name: str, start_us: int
) -> None:
    """Event Stream cannot hold times since 1970, as DV's are: these are sent from zero on."""
    events = tools.some_events(4000)
    events["t_us"] += start_us
    writer = open_writer(tmp_path / "a.svr", tools.size)
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    writer.close()
    uri = f"stdout?format={name}" if name else "stdout"
    command = [sys.executable, "-m", "streamvdib", "replay", str(tmp_path / "a.svr")]
    done = subprocess.run(
        [*command, "--speed", "max", "--to-uri", uri, *(["--zero-time"] if start_us else [])],
        capture_output=True,
        check=True,
    )
    if start_us:
        events["t_us"] -= events["t_us"][0]
    from streamvdib.sources.byte_recognition import AnyDecoder

    decoder = AnyDecoder("test")
    found = [decoder.decode(done.stdout), decoder.decode(b"", ended=True)]
    assert np.array_equal(np.concatenate(found), events)
    assert b"4,000 events" in done.stderr


def test_replaying_into_a_file_converts_it(tools: Any, tmp_path: Path) -> None:
    from streamvdib.cli import main

    events = tools.some_events(2000)
    writer = open_writer(tmp_path / "a.svr", tools.size)
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    writer.close()
    target = tmp_path / "b.raw"
    words = ["replay", str(tmp_path / "a.svr"), "--speed", "max", "--to-uri", str(target)]
    assert main([*words, "--quiet"]) == 0
    assert np.array_equal(first_events(open_source(target), 2000), events)


def test_a_reader_that_goes_ends_the_replay_without_an_error(tools: Any, tmp_path: Path) -> None:
    events = tools.some_events(200_000)
    writer = open_writer(tmp_path / "a.svr", tools.size)
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    writer.close()
    command = f"{sys.executable} -m streamvdib replay {tmp_path / 'a.svr'} --speed max --quiet"
    done = subprocess.run(
        f"set -o pipefail; {command} | head -n 2 | wc -l",
        shell=True, capture_output=True, executable="/bin/bash", check=False,
    )  # fmt: skip
    assert done.stdout.strip() == b"2"
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0


def test_a_reader_that_goes_is_said_to_have_gone(tools: Any, tmp_path: Path) -> None:
    events = tools.some_events(200_000)
    writer = open_writer(tmp_path / "a.svr", tools.size)
    writer.write(EventPacket(events, int(events["t_us"][-1]) + 1))
    writer.close()
    command = f"{sys.executable} -m streamvdib replay {tmp_path / 'a.svr'} --speed max"
    done = subprocess.run(
        f"{command} | head -n 2 > /dev/null",
        shell=True, capture_output=True, executable="/bin/bash", check=True,
    )  # fmt: skip
    assert b"the reader of standard output went away before the end" in done.stderr
    assert b"nothing amiss" not in done.stderr


def test_over_zmq_who_subscribes_while_replay_waits_misses_nothing(tools: Any) -> None:
    """It is told the sensor's size by the first message, which is sent when it is there."""
    pytest.importorskip("zmq")
    events = tools.some_events(5000)
    publisher: Any = open_publisher("zmq://127.0.0.1:0", tools.size)
    assert not publisher.await_reader(0.0)
    port = publisher.address.rpartition(":")[2]
    opened: list[Any] = []
    uri = f"zmq://127.0.0.1:{port}?connect_s=20"
    subscriber = threading.Thread(target=lambda: opened.append(open_source(uri)))
    subscriber.start()
    assert publisher.await_reader(20.0)
    for packet in packets_of(tools, events):
        publisher.publish(packet)
    subscriber.join()
    assert opened[0].sensor_size == tools.size
    assert np.array_equal(first_events(opened[0], 5000), events)
    publisher.close()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://x", "must begin with udp"),
        ("udp://127.0.0.1", "must name a port"),
        ("udp://127.0.0.1:9?format=x", "format must be one of"),
        ("udp://127.0.0.1:9?batch=0", "batch must be"),
        ("stdout?format=x", "format must be one of"),
        ("zmq://127.0.0.1", "must name a port"),
        ("zmq://0.0.0.0:5999", "loopback"),
    ],
)
def test_a_way_out_that_cannot_be_meant_is_refused(tools: Any, uri: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_publisher(uri, tools.size)


def test_a_dv_port_that_is_taken_is_refused(tools: Any) -> None:
    pytest.importorskip("dv_processing")
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SinkError, match="must be free"):
            open_publisher(f"dv://127.0.0.1:{taken.getsockname()[1]}", tools.size)


def test_a_recording_is_not_converted_onto_itself(
    tools: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own name, by a link to it, and in a folder."""
    from streamvdib.cli import main

    path = tmp_path / "a.es"
    writer = open_writer(path, tools.size)
    writer.write(EventPacket(tools.some_events(30), 1 << 40))
    writer.close()
    before = path.read_bytes()
    link = tmp_path / "elsewhere" / "b.es"
    link.parent.mkdir()
    link.symlink_to(path)
    for source, target in ((path, path), (path, link), (tmp_path, path)):
        assert main(["replay", str(source), "--to-uri", str(target)]) == 2
        assert "another file than the one that is played" in capsys.readouterr().err
        assert path.read_bytes() == before
