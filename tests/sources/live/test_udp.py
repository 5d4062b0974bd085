"""Events that come as datagrams over loopback."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import numpy as np
import pytest
from streamvdib.replay.republish import UdpPublisher

from streamvdib.errors import ConfigurationError, LiveSourceError
from streamvdib.events import EventArray, EventPacket, as_events
from streamvdib.sources import network, open_source
from streamvdib.sources.live import LiveOptions, LiveSource
from streamvdib.sources.network import MAX_DATAGRAM, UdpFeed
from streamvdib.sources.spif import decode_spif, encode_spif


def receive(feed: UdpFeed, n_events: int) -> EventArray:
    """Read until so many events have come."""
    found: list[EventArray] = []
    for _ in range(200):
        found.append(feed.read(0.1).events)
        if sum(map(len, found)) >= n_events:
            break
    return np.concatenate(found)


@pytest.fixture
def feed(tools: Any) -> Any:
    feed = UdpFeed("127.0.0.1", 0, tools.size)
    feed.open()
    yield feed
    feed.close()


def sender(feed: UdpFeed) -> socket.socket:
    sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sending.connect(("127.0.0.1", feed.port))
    return sending


def test_a_word_by_hand() -> None:
    """x = 5 at bit 16, ON at bit 15, y = 7; then the time. With bit 31 there is no time."""
    words = np.array([5 << 16 | 1 << 15 | 7, 1234, 1 << 31 | 6 << 16 | 8], dtype="<u4")
    one = np.array([0]), np.array([3])
    events, n_untimed, n_cut = decode_spif(words, *one, 99)
    assert events.tolist() == [(1234, 5, 7, True), (99, 6, 8, False)]
    assert (n_untimed, n_cut) == (1, 0)
    assert encode_spif(events).tolist()[:2] == words.tolist()[:2]
    assert encode_spif(events[1:], with_times=False).tolist() == words.tolist()[2:]


def test_a_time_with_its_highest_bit_set_is_a_time() -> None:
    events = as_events([0xE0E399A4], [5], [7], [True])
    words = encode_spif(events)
    assert decode_spif(words, np.array([0]), np.array([2]), 0)[0].tolist() == events.tolist()


@pytest.mark.parametrize("layout", ["spif", "faery64", "faery32"])
def test_what_replay_sends_is_what_is_received(tools: Any, layout: str) -> None:
    events = tools.some_events(2000)
    feed = UdpFeed("127.0.0.1", 0, tools.size, layout=layout)
    feed.open()
    publisher = UdpPublisher("127.0.0.1", feed.port, layout=layout, batch=64)
    publisher.publish(EventPacket(events, int(events["t_us"][-1]) + 1))
    assert np.array_equal(receive(feed, 2000), events)
    assert feed.counters["datagrams"] == publisher.counters["datagrams"] == 32
    publisher.close()
    feed.close()


def test_events_without_times_get_that_of_their_arrival(tools: Any) -> None:
    clock = tools.FakeClock()
    feed = UdpFeed("127.0.0.1", 0, tools.size, clock=clock)
    feed.open()
    publisher = UdpPublisher("127.0.0.1", feed.port, with_times=False, batch=64)
    publisher.publish(EventPacket(tools.some_events(100), 0))
    assert set(receive(feed, 100)["t_us"].tolist()) == {clock.time_us}
    assert feed.counters["events_without_time"] == 100
    publisher.close()
    feed.close()


def test_an_odd_sized_datagram_is_counted_and_its_whole_events_are_used(feed: UdpFeed) -> None:
    sending = sender(feed)
    good = struct.pack("<2I", 5 << 16 | 7, 10)
    sending.send(good + b"\x01\x02\x03")
    sending.send(good + good[:4])
    sending.send(b"")
    sending.send(good)
    assert receive(feed, 3)["x"].tolist() == [5, 5, 5]
    assert feed.counters["datagrams_odd_sized"] == 1
    assert feed.counters["events_cut_off"] == 1
    sending.close()


def test_a_datagram_that_is_too_long_is_counted_and_left_out(feed: UdpFeed) -> None:
    sending = sender(feed)
    sending.send(bytes(MAX_DATAGRAM + 4))
    sending.send(struct.pack("<2I", 5 << 16 | 7, 10))
    assert receive(feed, 1).tolist() == [(10, 5, 7, False)]
    assert feed.counters["datagrams_too_long"] == 1
    sending.close()


def test_random_bytes_do_no_harm(feed: UdpFeed) -> None:
    sending = sender(feed)
    random = np.random.default_rng(0)
    for length in (1, 3, 4, 7, 64, 513, 9000):
        sending.send(random.bytes(length))
    sending.send(struct.pack("<2I", 5 << 16 | 7, 10))
    for _ in range(20):
        feed.read(0.05)
    assert feed.counters["datagrams"] == 8
    sending.close()


def test_sent_is_received_plus_lost_when_the_kernel_has_no_room(
    tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_enlarge", lambda receiver: receiver.setsockopt(
        socket.SOL_SOCKET, socket.SO_RCVBUF, 4096))  # fmt: skip
    feed = UdpFeed("127.0.0.1", 0, tools.size)
    feed.open()
    publisher = UdpPublisher("127.0.0.1", feed.port, batch=64)
    events = tools.some_events(64 * 500)
    publisher.publish(EventPacket(events, 0))
    found, counters = [], feed.counters
    while counters["datagrams"] + counters["lost_datagrams"] < 500:
        found.extend(feed.read(0.1).events.tolist())
    assert counters["lost_datagrams"] > 0
    assert counters["datagrams"] + counters["lost_datagrams"] == 500
    assert len(found) + 64 * counters["lost_datagrams"] == len(events)
    publisher.close()
    feed.close()


def test_a_source_over_loopback_delivers_all_but_the_newest_time(tools: Any) -> None:
    """The events of the newest time wait for a later one."""
    events = tools.some_events(20_000)
    feed = UdpFeed("127.0.0.1", 0, tools.size)
    source = LiveSource(feed, LiveOptions(clock_rate=0.0))
    publisher = UdpPublisher("127.0.0.1", feed.port, batch=64)
    packets = [EventPacket(piece, 0) for piece in np.array_split(events, 40)]
    thread = threading.Thread(target=lambda: [publisher.publish(one) for one in packets])
    complete = events[events["t_us"] < events["t_us"][-1]]
    found: list[EventArray] = []
    thread.start()
    for packet in source:
        found.append(packet.events)
        if sum(map(len, found)) >= len(complete):
            break
    thread.join()
    status = source.status()
    source.close()
    publisher.close()
    assert np.array_equal(np.concatenate(found), complete)
    assert status.n_received == len(events)
    assert status.n_lost_upstream == 0


def test_a_port_that_is_taken_is_refused(feed: UdpFeed) -> None:
    uri = f"udp://127.0.0.1:{feed.port}?width=10&height=10&connect_s=0"
    with pytest.raises(LiveSourceError, match="must be free"):
        open_source(uri)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("udp://127.0.0.1:3333", "sensor's size must be given"),
        ("udp://127.0.0.1?width=3&height=3", "must name a port"),
        ("udp://127.0.0.1:3333?width=3", "both be positive"),
        ("udp://127.0.0.1:3333?width=a&height=3", "width must be int"),
        ("udp://127.0.0.1:3333?width=3&height=3&speeed=1", "options must be among"),
        ("udp://127.0.0.1:3333?width=3&height=3&format=x", "format must be one of"),
        ("udp://127.0.0.1:99999?width=3&height=3", "port must be 0 to 65535"),
        ("udp://127.0.0.1:3333?width=3&height=3&watermark=maybe", "watermark must be"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused(uri: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_source(uri)
