"""Frames over ZeroMQ: what a subscriber gets, and when."""

from __future__ import annotations

import signal
import threading

import measures
import msgpack
import numpy as np
import zmq
from streamvdib.services.client import FrameClient
from waiting import (
    receive_one,
    receive_some,
    receive_until,
    wait_for_state,
    wait_for_subscription,
    wait_for_the_end,
)


def test_every_frame_arrives_once_and_in_order(make_server, paced_packets) -> None:
    """As many as fit into the queues on the way, so that no slow machine loses one of them."""
    begin = threading.Event()
    server = make_server(sources={"digits": paced_packets(n_packets=200, begin=begin)})
    with FrameClient(server.service.data_address, newest=False) as client:
        wait_for_subscription(client)
        begin.set()
        frames = receive_some(client, 200)
    assert [frame.header.step for frame in frames] == list(range(200))
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
    wait_for_the_end(server)
    with FrameClient(server.service.data_address) as client:
        frame = receive_one(client)
        assert frame.is_last
        assert frame.header.step == 19
        assert client.tracker.description["digits"]["dt_us"] == 1000


def test_a_newcomer_costs_others_no_repeated_frame(make_server, paced_packets) -> None:
    server = make_server(sources={"digits": paced_packets(n_packets=20)})
    context = zmq.Context()
    first = context.socket(zmq.SUB)
    first.connect(server.service.data_address)
    first.subscribe(b"frame/")
    wait_for_the_end(server)
    while msgpack.unpackb(first.recv_multipart()[1])["step"] < 19:
        pass
    with FrameClient(server.service.data_address) as second:
        assert receive_one(second).is_last
    assert not first.poll(200)
    context.destroy(linger=0)


def test_each_kind_has_its_topic(make_server) -> None:
    server = make_server()
    kinds = ("frame", "spikes", "events", "stats")
    with FrameClient(server.service.data_address, kinds=kinds, newest=False) as client:
        messages = receive_until(client, lambda found: {m.header.kind for m in found} == set(kinds))
    found = {message.header.kind: message for message in messages}
    assert found["spikes"].values.tolist() == [[1, 0, 1]]
    assert found["events"].values.dtype.names == ("t_us", "x", "y", "on")
    assert found["stats"].figures["state"] in ("starting", "running", "idle")


def test_stats_are_minus_one_step_before_the_first_and_tell_all_at_the_end(
    make_server, paced_packets
) -> None:
    begin = threading.Event()
    server = make_server(sources={"digits": paced_packets(n_packets=20, begin=begin)})
    with FrameClient(server.service.data_address, kinds=("stats",), newest=False) as client:
        before = receive_one(client).figures
        begin.set()
        after = receive_until(client, lambda m: m and m[-1].figures["n_frames"] == 20)[-1].figures
    assert (before["step"], before["n_steps"], before["n_frames"]) == (-1, 0, 0)
    assert (after["step"], after["n_steps"], after["n_events"]) == (19, 20, 60)


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
        receive_one(client)
        station.hang.set()
        wait_for_state(client, "hung")
        station.hang.clear()
        wait_for_state(client, "running", "idle")


def test_a_restart_is_seen(make_server) -> None:
    server = make_server()
    address = server.service.data_address
    with FrameClient(address) as client:
        receive_one(client)
        server.close()
        again = make_server(data=address)
        message = receive_until(client, lambda found: found and found[-1].is_restart)[-1]
        assert message.header.run == again.service.header.run
        assert client.tracker.n_restarts == 1


def test_the_end_is_told(make_server) -> None:
    server = make_server()
    with FrameClient(server.service.data_address) as client:
        receive_one(client)
        server.close()
        wait_for_state(client, "closing", "closed")


def test_a_frozen_service_is_seen_and_seen_again_when_it_goes_on() -> None:
    """SIGSTOP: the connection stands and no error is ever told; only heartbeats are missed."""
    with measures.fake_service("--rate", "100") as service, FrameClient(service.data) as client:
        wait_for_subscription(client)
        service.process.send_signal(signal.SIGSTOP)
        try:
            wait_for_state(client, "silent")
        finally:
            service.process.send_signal(signal.SIGCONT)
        wait_for_state(client, "running", "idle")
        assert client.tracker.n_restarts == 0


def test_a_dead_service_is_seen() -> None:
    with measures.fake_service("--rate", "100") as service, FrameClient(service.data) as client:
        wait_for_subscription(client)
        service.process.kill()
        wait_for_state(client, "silent")
