"""Frames over ZeroMQ: what a subscriber gets, and when."""

from __future__ import annotations

import time

import msgpack
import numpy as np
import zmq
from streamvdib.services.client import FrameClient


def receive_some(client: FrameClient, n: int, timeout_s: float = 5.0) -> list:
    found = []
    deadline = time.monotonic() + timeout_s
    while len(found) < n and time.monotonic() < deadline:
        message = client.receive(0.5)
        if message is not None:
            found.append(message)
    return found


def test_every_frame_arrives_once_and_in_order(make_server) -> None:
    server = make_server()
    with FrameClient(server.service.data_address, newest=False) as client:
        frames = receive_some(client, 200)
    steps = [frame.header.step for frame in frames]
    assert len(steps) == 200
    assert steps == list(range(steps[0], steps[0] + 200))
    assert all(frame.n_missed == 0 for frame in frames)


def test_a_frame_says_what_it_is(make_server) -> None:
    server = make_server()
    with FrameClient(server.service.data_address, newest=False) as client:
        frame = receive_some(client, 5)[-1]
    header = frame.header
    assert (header.stream, header.kind, header.model, header.seed) == ("digits", "frame", "fake", 7)
    assert header.end_us == (header.step + 1) * 1000
    assert header.generation == 3
    assert header.range == (0.0, 1.0)
    assert frame.pixels.dtype == np.dtype("<f4")
    assert frame.pixels.shape == (4, 5)
    np.testing.assert_allclose(frame.pixels, header.step / 65536)


def test_a_late_joiner_gets_the_last_frame_and_the_description_at_once(
    make_server, paced_packets
) -> None:
    """The stream has ended long ago, so nothing but the last frame can come."""
    server = make_server(sources={"digits": paced_packets(n_packets=20)})
    assert server.wait(5.0)
    with FrameClient(server.service.data_address) as client:
        frame = client.receive(2.0)
        assert frame is not None
        assert frame.is_last
        assert frame.header.step == 19
        assert client.tracker.description["digits"]["dt_us"] == 1000


def test_a_newcomer_costs_others_no_repeated_frame(make_server, paced_packets) -> None:
    server = make_server(sources={"digits": paced_packets(n_packets=20)})
    context = zmq.Context()
    first = context.socket(zmq.SUB)
    first.connect(server.service.data_address)
    first.subscribe(b"frame/")
    assert server.wait(5.0)
    time.sleep(0.2)
    while first.poll(100):
        first.recv_multipart()
    with FrameClient(server.service.data_address) as second:
        assert second.receive(2.0) is not None
    assert not first.poll(200)
    context.destroy(linger=0)


def test_each_kind_has_its_topic(make_server) -> None:
    server = make_server()
    kinds = ("frame", "spikes", "events", "stats")
    with FrameClient(server.service.data_address, kinds=kinds, newest=False) as client:
        found = {m.header.kind: m for m in receive_some(client, 1200)}
    assert set(found) == set(kinds)
    assert found["spikes"].values.tolist() == [[1, 0, 1]]
    assert found["events"].values.dtype.names == ("t_us", "x", "y", "on")
    assert found["stats"].figures["step"] > 0


def test_streams_are_told_apart(make_server, fake_station) -> None:
    server = make_server(fake_station(("left", "right")))
    with FrameClient(server.service.data_address, streams=["right"], newest=False) as client:
        frames = receive_some(client, 20)
    assert {frame.header.stream for frame in frames} == {"right"}


def test_plain_pyzmq_and_msgpack_read_a_frame(make_server) -> None:
    server = make_server()
    context = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.connect(server.service.data_address)
    socket.subscribe(b"frame/digits/")
    assert socket.poll(3000)
    topic, raw, payload = socket.recv_multipart()
    header = msgpack.unpackb(raw)
    pixels = np.frombuffer(payload, header["dtype"]).reshape(header["shape"])
    assert topic.startswith(b"frame/digits/")
    assert header["schema"] == [1, 0]
    assert pixels.shape == (4, 5)
    context.destroy(linger=0)


def test_a_hung_engine_is_seen(make_server, fake_station) -> None:
    station = fake_station()
    server = make_server(station)
    with FrameClient(server.service.data_address) as client:
        assert client.receive(2.0) is not None
        station.hang.set()
        deadline = time.monotonic() + 6.0
        while client.tracker.state != "hung" and time.monotonic() < deadline:
            client.receive(0.2)
        assert client.tracker.state == "hung"
        station.hang.clear()
        deadline = time.monotonic() + 3.0
        while client.tracker.state == "hung" and time.monotonic() < deadline:
            client.receive(0.2)
        assert client.tracker.state in ("running", "idle")


def test_a_restart_is_seen(make_server) -> None:
    server = make_server()
    address = server.service.data_address
    with FrameClient(address) as client:
        assert client.receive(2.0) is not None
        server.close()
        again = make_server(data=address)
        deadline = time.monotonic() + 5.0
        while (message := client.receive(3.0)) is not None and not message.is_restart:
            assert time.monotonic() < deadline
        assert message is not None
        assert message.header.run == again.service.header.run
        assert client.tracker.n_restarts == 1


def test_the_end_is_told(make_server) -> None:
    server = make_server()
    with FrameClient(server.service.data_address) as client:
        assert client.receive(2.0) is not None
        server.close()
        while client.receive(0.3) is not None:
            pass
        assert client.tracker.state == "closing"
