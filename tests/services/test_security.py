"""Keys, roles, exposure: who gets in, who does not, and that both are counted."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import zmq
from streamvdib.services.addresses import (
    AddressLock,
    check_exposure,
    control_address,
    parse_address,
)
from streamvdib.services.bounds import WireError
from streamvdib.services.client import FrameClient
from streamvdib.services.control_client import ControlClient
from streamvdib.services.keys import (
    KeyPair,
    allow,
    make_key_pair,
    read_allow_list,
    read_key_pair,
    read_public_key,
    write_key_pair,
)
from waiting import receive_one, until, wait_for_state, wait_for_subscription

from streamvdib.errors import ConfigurationError, ServiceError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_key_pair(tmp_path / "keys", "server", make_key_pair())
    return tmp_path / "keys"


def client_of(folder: Path, role: str) -> KeyPair:
    pair = make_key_pair()
    allow(folder / "clients", pair.public, role, "test")
    return pair


def server_key(folder: Path) -> bytes:
    return read_public_key(str(folder / "server.key"))


def refusals(server) -> dict[str, int]:
    """Once there is one."""
    until(lambda: sum(server.service.n_refused.values()))
    return server.service.n_refused


def test_the_right_key_gets_frames(make_server, folder) -> None:
    keys = client_of(folder, "view")
    server = make_server(curve=folder)
    address = server.service.data_address
    with FrameClient(address, server_key=server_key(folder), keys=keys) as client:
        receive_one(client)


def test_an_unknown_client_key_gets_nothing_and_is_counted(make_server, folder) -> None:
    server = make_server(curve=folder)
    with FrameClient(
        server.service.data_address, server_key=server_key(folder), keys=make_key_pair()
    ) as client:
        assert client.receive(1.0) is None
        assert refusals(server)["unknown key"] >= 1


def test_a_wrong_server_key_gets_nothing_and_is_counted(make_server, folder) -> None:
    keys = client_of(folder, "view")
    server = make_server(curve=folder)
    wrong = make_key_pair().public
    with FrameClient(server.service.data_address, server_key=wrong, keys=keys) as client:
        assert client.receive(1.0) is None
        assert sum(refusals(server).values()) >= 1


def test_no_security_gets_nothing_and_is_counted(make_server, folder) -> None:
    server = make_server(curve=folder)
    with FrameClient(server.service.data_address) as client:
        assert client.receive(1.0) is None
        assert sum(refusals(server).values()) >= 1


@pytest.mark.parametrize(
    ("role", "command", "arguments", "is_allowed"),
    [
        ("view", "status", {}, True),
        ("view", "pause", {}, False),
        ("control", "pause", {}, True),
        ("control", "set_beta", {"value": 1.0}, False),
        ("learn", "set_beta", {"value": 1.0}, True),
    ],
)
def test_a_role_may_what_it_contains(
    make_server, folder, role, command, arguments, is_allowed
) -> None:
    keys = client_of(folder, role)
    server = make_server(curve=folder)
    with ControlClient(
        server.service.control_address, server_key=server_key(folder), keys=keys
    ) as client:
        if is_allowed:
            client.ask(command, **arguments)
        else:
            with pytest.raises(WireError) as caught:
                client.ask(command, **arguments)
            assert caught.value.code == "forbidden"


def test_a_key_put_on_the_list_gets_in_after_a_reload(make_server, folder) -> None:
    server = make_server(curve=folder)
    keys = make_key_pair()
    address = server.service.data_address
    with FrameClient(address, server_key=server_key(folder), keys=keys) as client:
        assert client.receive(0.5) is None
    allow(folder / "clients", keys.public, "view")
    server.reload_keys()
    with FrameClient(address, server_key=server_key(folder), keys=keys) as client:
        receive_one(client)


def test_a_key_taken_off_the_list_is_cut_off_by_a_reload(make_server, folder) -> None:
    keys = client_of(folder, "view")
    server = make_server(curve=folder)
    address = server.service.data_address
    with FrameClient(address, server_key=server_key(folder), keys=keys) as client:
        receive_one(client)
        wait_for_subscription(client)
        (folder / "clients").write_text("")
        server.reload_keys()
        until(lambda: server.service.publisher.n_resets == 1)
        until(lambda: client.receive(0.5) is None)  # what was under way may still come
        wait_for_state(client, "silent")
        assert client.receive(0.5) is None


def test_without_a_zap_answer_nobody_gets_in() -> None:
    """The premise of the authenticator: an enforced domain without a handler refuses."""
    context = zmq.Context()
    server = context.socket(zmq.XPUB)
    server.setsockopt(zmq.ZAP_DOMAIN, b"streamvdib")
    server.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    client = zmq.Context().socket(zmq.SUB)
    client.connect(f"tcp://127.0.0.1:{port}")
    client.subscribe(b"")
    assert not server.poll(300)
    client.context.destroy(linger=0)
    context.destroy(linger=0)


def test_a_secret_key_is_written_for_its_owner_alone(folder: Path) -> None:
    assert stat.S_IMODE((folder / "server.key_secret").stat().st_mode) == 0o600


def test_a_secret_key_that_others_can_read_is_refused(folder: Path) -> None:
    os.chmod(folder / "server.key_secret", 0o644)
    with pytest.raises(ConfigurationError, match="mode 0600"):
        read_key_pair(folder / "server.key_secret")


def test_keys_are_never_overwritten(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="not overwritten"):
        write_key_pair(folder, "server", make_key_pair())


def test_a_bad_line_of_the_allow_list_is_named(folder: Path) -> None:
    (folder / "clients").write_text("# who\nview short\n")
    with pytest.raises(ConfigurationError, match="clients:2"):
        read_allow_list(folder / "clients")


@pytest.mark.parametrize("text", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.0.2.1:5555"])
def test_a_bind_beyond_this_machine_needs_curve_or_a_word(text: str) -> None:
    address = parse_address(text)
    with pytest.raises(ConfigurationError, match="--insecure"):
        check_exposure(address, "--bind", has_curve=False, insecure=False)
    check_exposure(address, "--bind", has_curve=True, insecure=False)
    check_exposure(address, "--bind", has_curve=False, insecure=True)


@pytest.mark.parametrize(
    "text", ["tcp://127.0.0.1:5555", "tcp://[::1]:5555", "tcp://localhost:1", "ipc:///tmp/x"]
)
def test_loopback_and_ipc_need_nothing(text: str) -> None:
    check_exposure(parse_address(text), "--bind", has_curve=False, insecure=False)


@pytest.mark.parametrize("text", ["udp://1.2.3.4:5", "tcp://127.0.0.1", "tcp://a:99999", "ipc://"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--bind"):
        parse_address(text, "--bind")


def test_control_listens_beside_the_frames() -> None:
    assert control_address(parse_address("tcp://127.0.0.1:5555")).text == "tcp://127.0.0.1:5556"
    assert control_address(parse_address("ipc:///a/b")).text == "ipc:///a/b.control"


def test_a_second_service_on_the_same_port_is_refused(make_server) -> None:
    first = make_server()
    with pytest.raises(ServiceError, match="must be free"):
        make_server(data=first.service.data_address, start=False)


def test_a_second_service_on_the_same_path_is_refused(make_server, tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.mkdir(mode=0o700)
    server = make_server(data=f"ipc://{path}/frames")
    with pytest.raises(ServiceError, match="another service"):
        AddressLock(parse_address(f"ipc://{path}/frames"))
    with FrameClient(server.service.data_address) as client:
        receive_one(client)


def test_an_ipc_path_in_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o755)
    with pytest.raises(ServiceError, match="0700"):
        AddressLock(parse_address(f"ipc://{path}/frames"))
