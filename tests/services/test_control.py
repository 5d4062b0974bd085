"""Control: every good request is done, every bad one is answered by name and changes nothing."""

from __future__ import annotations

import contextlib
import math
import time

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamvdib.services.bounds import WireError, pack, unpack_map
from streamvdib.services.control_client import ControlClient
from streamvdib.services.requests import COMMANDS, parse_request
from waiting import until


def request(**changes: object) -> bytes:
    return pack({"schema": [1, 0], "id": 1, "command": "status", "arguments": {}} | changes)


BAD = {
    "not msgpack": (b"\xc1", "malformed", ""),
    "empty": (b"", "malformed", ""),
    "not a map": (pack([1, 2]), "malformed", ""),
    "two values": (pack({}) + pack({}), "malformed", ""),
    "a false length": (b"\xdf\xff\xff\xff\xff", "malformed", ""),
    "a key that is bytes": (msgpack.packb({b"id": 1}), "malformed", ""),
    "a key twice": (b"\x82\xa2id\x01\xa2id\x02", "malformed", "id"),
    "no schema": (request(schema=None), "wrong_type", "schema"),
    "another major schema": (request(schema=[2, 0]), "unsupported_schema", "schema"),
    "no id": (request(id=None), "wrong_type", "id"),
    "a truth value as id": (request(id=True), "wrong_type", "id"),
    "an unknown field": (request(more=1), "unknown_field", "more"),
    "an unknown command": (request(command="format_disk"), "unknown_command", "command"),
    "a command that is no text": (request(command=7), "wrong_type", "command"),
    "arguments that are no map": (request(arguments=[]), "wrong_type", "arguments"),
    "an unknown argument": (request(arguments={"x": 1}), "unknown_field", "arguments.x"),
    "a missing argument": (request(command="set_beta"), "missing_field", "arguments.value"),
    "NaN": (request(command="set_beta", arguments={"value": math.nan}), "out_of_range",
            "arguments.value"),
    "text for a number": (request(command="set_beta", arguments={"value": "1"}), "wrong_type",
                          "arguments.value"),
    "a number out of range": (request(command="set_beta", arguments={"value": -1.0}),
                              "out_of_range", "arguments.value"),
    "a number for a truth value": (request(command="learn", arguments={"on": 1}), "wrong_type",
                                   "arguments.on"),
    "a path for a name": (request(command="load_model", arguments={"name": "../secret"}),
                          "out_of_range", "arguments.name"),
    "an absolute path": (request(command="load_model", arguments={"name": "/etc/passwd"}),
                         "out_of_range", "arguments.name"),
    "nested too deep": (request(arguments={"x": [[[[[[[[[[1]]]]]]]]]]}), "malformed", None),
    "a timestamp": (b"\x81\xa2id\xd6\xff\x00\x00\x00\x00", "malformed", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_by_the_name_of_its_field(name: str) -> None:
    raw, code, field = BAD[name]
    with pytest.raises(WireError) as caught:
        parse_request([raw])
    assert caught.value.code == code
    if field is not None:
        assert caught.value.field == field


@given(st.binary(max_size=200))
def test_random_bytes_are_a_request_or_a_typed_error(raw: bytes) -> None:
    with contextlib.suppress(WireError):
        assert parse_request([raw]).command in COMMANDS


def test_a_message_too_long_is_refused_unread() -> None:
    with pytest.raises(WireError) as caught:
        unpack_map(b"\x80" * 70000, 65536)
    assert caught.value.code == "too_large"


def test_the_id_of_a_bad_request_comes_back() -> None:
    with pytest.raises(WireError) as caught:
        parse_request([request(id="mine", command="nothing")])
    assert caught.value.request_id == "mine"


def test_status_tells_what_goes_on(make_server) -> None:
    server = make_server()
    with ControlClient(server.service.control_address) as client:
        status = client.ask("status")
    assert status["state"] in ("running", "idle", "starting")
    assert status["run"] == server.service.header.run


def test_describe_tells_of_the_streams(make_server) -> None:
    server = make_server()
    with ControlClient(server.service.control_address) as client:
        told = client.ask("describe")
    assert told["streams"]["digits"]["dt_us"] == 1000
    assert "frame" in told["kinds"]


def test_a_stream_that_is_none_is_refused_by_name(make_server) -> None:
    address = make_server().service.control_address
    with ControlClient(address) as client, pytest.raises(WireError, match="digits") as refused:
        client.ask("describe", stream="nix")
    assert refused.value.field == "arguments.stream"


def test_a_misspelt_command_is_told_the_nearest() -> None:
    with pytest.raises(WireError, match="'set_beta'"):
        parse_request([request(command="set_bta")])


def test_commands_reach_the_engine_between_packets(make_server, fake_station) -> None:
    station = fake_station()
    server = make_server(station)
    with ControlClient(server.service.control_address) as client:
        assert client.ask("set_beta", value=0.25) == {"done": "set_beta"}
        assert client.ask("learn", on=True) == {"done": "learn"}
        assert client.ask("set_decode_every", steps=7) == {"decode_every": 7}
    assert station.commands == [("set_beta", {"value": 0.25}), ("learn", {"on": True})]
    assert station.decode_every == 7


def test_a_paused_engine_makes_no_step_and_goes_on_when_resumed(make_server, fake_station) -> None:
    station = fake_station()
    server = make_server(station)
    with ControlClient(server.service.control_address) as client:
        until(lambda: station.step > 0)
        client.ask("pause")
        until(lambda: client.ask("status")["state"] == "paused")
        before = station.step
        time.sleep(0.2)
        assert station.step == before
        client.ask("resume")
        until(lambda: station.step > before)


def test_a_frame_can_be_asked_for(make_server, fake_station) -> None:
    station = fake_station()
    station.decode_every = 10**6
    server = make_server(station)
    with ControlClient(server.service.control_address) as client:
        until(lambda: station.step >= 0)
        assert client.ask("decode")["step"] >= 0


def test_what_fails_is_told_and_changes_nothing(make_server, fake_station) -> None:
    station = fake_station()
    server = make_server(station)
    with ControlClient(server.service.control_address) as client:
        with pytest.raises(WireError, match="must be one of") as caught:
            client.ask("load_model", name="nosuch")
        assert client.ask("load_model", name="other") == {"done": "load_model"}
    assert caught.value.code == "failed"
    assert station.commands == [("load_model", {"name": "other"})]


def test_shut_down_asks_for_the_end(make_server) -> None:
    server = make_server()
    with ControlClient(server.service.control_address) as client:
        assert client.ask("shut_down") == {"closing": True}
    assert server.stop_requested.is_set()


def test_status_answers_while_the_engine_hangs(make_server, fake_station) -> None:
    station = fake_station()
    server = make_server(station)
    with ControlClient(server.service.control_address) as client:
        assert client.ask("status")["engine_alive"] is True
        station.hang.set()
        until(lambda: client.ask("status")["engine_alive"] is False)
        station.hang.clear()


def test_a_req_socket_is_answered_too(make_server) -> None:
    server = make_server()
    context = zmq.Context()
    socket = context.socket(zmq.REQ)
    socket.connect(server.service.control_address)
    socket.send(request(id="a"))
    assert msgpack.unpackb(socket.recv())["id"] == "a"
    context.destroy(linger=0)


def test_a_flood_is_answered_at_the_rate_and_counted(make_server) -> None:
    """50 a second and twice that at once: however long it takes, no more are answered."""
    server = make_server(requests_per_s=50.0)
    desk = server.service.desk
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(server.service.control_address)
    began_s = time.monotonic()
    for number in range(1000):
        socket.send(request(id=number))
    until(lambda: desk.n_requests + desk.n_refused["too_many_requests"] == 1000)
    assert 100 <= desk.n_requests <= 100 + 50 * (time.monotonic() - began_s)
    assert msgpack.unpackb(socket.recv())["ok"] is True
    context.destroy(linger=0)
    with ControlClient(server.service.control_address) as client:
        refused = client.ask("status")["requests_refused"]
    assert refused["too_many_requests"] == desk.n_refused["too_many_requests"] > 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6))
def test_random_parts_leave_the_desk_standing(make_server_once, parts: list[bytes]) -> None:
    server = make_server_once
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(server.service.control_address)
    socket.send_multipart(parts)
    socket.poll(200)
    context.destroy(linger=0)
    with ControlClient(server.service.control_address) as client:
        assert "state" in client.ask("status")


@pytest.fixture
def make_server_once(make_server):
    return make_server(requests_per_s=10_000.0)


def test_every_command_says_who_may_and_what_it_does() -> None:
    for command in COMMANDS.values():
        assert command.role in ("view", "control", "learn")
        assert command.summary
