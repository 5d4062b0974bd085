"""The client: gaps, restarts and latency told; a program that does not read is not harmed."""

from __future__ import annotations

import asyncio
import io
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from streamvdib.services.bounds import WireError
from streamvdib.services.client import AsyncFrameClient, FrameClient
from streamvdib.services.control_client import ControlClient
from streamvdib.services.messages import Header, encode_header, topic
from streamvdib.services.tracking import Tracker, newest_of
from streamvdib.services.view.feed import EventPicture
from streamvdib.services.view.terminal import TerminalFeed, half_blocks, render
from waiting import (
    receive_one,
    receive_until,
    until,
    wait_for_subscription,
)

from streamvdib.errors import ConfigurationError, ServiceError, StreamVdibError

NOW_NS = 5_000_000_000


def message(sequence: int, *, run: str = "a", last: bool = False, **changes: object) -> list[bytes]:
    fields = {
        "kind": "frame", "stream": "s", "run": run, "sequence": sequence, "step": sequence,
        "start_us": 0, "end_us": 0, "wall_us": 1_000_000, "monotonic_ns": NOW_NS,
        "shape": (2,), "bytes": 2,
    }  # fmt: skip
    header = Header(**{**fields, **changes})
    return [topic("s", header.kind, last), encode_header(header), b"\x01\x02"]


def follow(tracker: Tracker, parts: list[bytes], after_ns: int = 0):
    return tracker.follow(parts, NOW_NS + after_ns, 1_000_000 + after_ns // 1000)


def test_a_gap_is_told_with_its_length() -> None:
    tracker = Tracker()
    missed = [follow(tracker, message(n)).n_missed for n in (0, 1, 5, 6)]
    assert missed == [0, 0, 3, 0]
    assert tracker.n_missed == 3


def test_what_was_seen_is_not_given_twice() -> None:
    tracker = Tracker()
    assert follow(tracker, message(4)) is not None
    assert follow(tracker, message(4, last=True)) is None


def test_a_newcomers_message_is_no_gap() -> None:
    tracker = Tracker()
    follow(tracker, message(4))
    assert follow(tracker, message(9, last=True)).n_missed == 0


def test_a_new_run_is_a_restart_told_once_per_topic() -> None:
    tracker = Tracker()
    follow(tracker, message(7))
    found = [follow(tracker, message(n, run="b")).is_restart for n in (0, 1)]
    assert found == [True, False]
    assert tracker.n_restarts == 1


def test_latency_is_from_the_due_time_on_the_same_machine() -> None:
    tracker = Tracker()
    tracker._boot = "here"
    parts = message(0, boot="here", due_ns=NOW_NS - 3_000_000)
    assert follow(tracker, parts, after_ns=1_000_000).latency_us == 4000.0


def test_latency_is_by_the_wall_clock_from_another_machine_and_never_negative() -> None:
    tracker = Tracker()
    parts = message(0, boot="elsewhere", due_ns=NOW_NS - 3_000_000)
    assert follow(tracker, parts, after_ns=2_000_000).latency_us == 5000.0
    assert follow(tracker, message(1, boot="elsewhere"), after_ns=-(10**9)).latency_us == 0.0


def test_malformed_messages_are_counted_and_another_schema_is_told() -> None:
    tracker = Tracker()
    assert tracker.follow([b"x"], 0, 0) is None
    assert follow(tracker, [b"t", b"\xc1", b""]) is None
    assert tracker.n_malformed == 2
    with pytest.raises(WireError):
        follow(tracker, message(0, schema=(2, 0)))


def test_the_newest_keeps_what_the_skipped_ones_told() -> None:
    tracker = Tracker()
    found = [follow(tracker, message(n)) for n in (0, 3, 4)]
    newest = newest_of(found)
    assert [one.header.sequence for one in newest] == [4]
    assert newest[0].n_missed == 2


def test_asyncio_gets_every_frame_in_order(make_server) -> None:
    server = make_server()

    async def some() -> list[int]:
        async with AsyncFrameClient(server.service.data_address, newest=False) as client:
            return [(await client.receive()).header.step for _ in range(50)]

    steps = asyncio.run(some())
    assert steps == list(range(steps[0], steps[0] + 50))


def test_a_slow_program_gets_the_newest_and_is_told_what_was_skipped(
    make_server, paced_packets
) -> None:
    """200 frames into a queue of ten, whose program does not read before it is full."""
    begin = threading.Event()
    server = make_server(sources={"digits": paced_packets(n_packets=200, begin=begin)})
    with FrameClient(server.service.data_address, queue=10) as client:
        wait_for_subscription(client)
        begin.set()
        until(lambda: client.inbox.n_waiting == 10)
        found = receive_until(client, lambda found: found and found[-1].header.step == 199)
        assert client.n_skipped > 0
        assert len(found) + client.n_skipped < 200


def test_a_kind_or_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="kinds"):
        FrameClient("tcp://127.0.0.1:1", kinds=("pictures",))
    with pytest.raises(ServiceError, match="address"):
        FrameClient("nonsense")
    with pytest.raises(ServiceError, match="address"):
        ControlClient("nonsense")


@pytest.mark.parametrize(
    ("chosen", "named"),
    [({"queue": 0}, "queue"), ({"streams": "digits"}, "streams"), ({"streams": ["a b"]}, "a b")],
)
def test_a_choice_that_cannot_be_meant_is_refused(chosen: dict, named: str) -> None:
    with pytest.raises(StreamVdibError, match=named):
        FrameClient("tcp://127.0.0.1:1", **chosen)


@pytest.mark.slow
def test_a_program_that_does_not_read_survives_a_restart_of_its_service(tmp_path: Path) -> None:
    """libzmq 4.3.5 aborts such a program where its socket's queue may fill (issue 3937)."""
    script = tmp_path / "program.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            import measures
            from streamvdib.services.client import FrameClient
            words = ("--rate", "500", "--bind", "tcp://127.0.0.1:47351")
            with measures.fake_service(*words) as service:
                client = FrameClient(service.data, queue=10)
                assert client.receive(20.0) is not None
                time.sleep(4.0)
            with measures.fake_service(*words) as service:
                time.sleep(1.0)
                deadline = time.monotonic() + 30.0
                while client.tracker.n_restarts == 0 and time.monotonic() < deadline:
                    client.receive(0.1)
                assert client.tracker.n_restarts == 1
                client.close()
            print("survived")
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=200
    )
    assert done.stdout.strip() == "survived", done.stderr


def test_a_frozen_subscriber_is_cut_off_and_comes_back_when_it_moves_again(make_server) -> None:
    """TCP alone would keep its connection for minutes: ZMTP heartbeats end it."""
    server = make_server()
    script = (
        "import sys; from streamvdib.services import FrameClient\n"
        "for frame in FrameClient(sys.argv[1]): pass"
    )
    words = [sys.executable, "-c", script, server.service.data_address]
    with subprocess.Popen(words) as program:
        try:
            until(lambda: server.service.n_subscribers == 1)
            program.send_signal(signal.SIGSTOP)
            until(lambda: server.service.n_subscribers == 0)
            program.send_signal(signal.SIGCONT)
            until(lambda: server.service.n_subscribers == 1)
        finally:
            program.kill()


def test_a_flood_of_subscriptions_is_forgotten_and_honest_clients_come_back(
    make_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zmq
    from streamvdib.services import publisher

    monkeypatch.setattr(publisher, "MAX_SUBSCRIPTIONS", 500)
    server = make_server()
    context = zmq.Context()
    stranger = context.socket(zmq.SUB)
    stranger.linger = 0
    with FrameClient(server.service.data_address) as client:
        receive_one(client)
        stranger.connect(server.service.data_address)
        for number in range(1000):
            stranger.subscribe(b"nothing/%d" % number)
        until(lambda: server.service.publisher.n_resets)
        stranger.close(linger=0)
        step = server.tally.pulse.step
        receive_until(client, lambda found: found and found[-1].header.step > step + 50)
    context.term()


def test_half_blocks_are_two_pixels_each() -> None:
    text = half_blocks(np.array([[0, 255], [255, 0], [9, 9]], dtype=np.uint8), 2, 2)
    assert text.plain == "\u2580\u2580\n\u2580\u2580"


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 10), (200, 60)])
def test_the_terminal_view_fits_its_terminal(columns: int, lines: int) -> None:
    feed = TerminalFeed()
    for name in ("left", "middle", "right"):
        feed.pictures[name] = EventPicture(260, 346)
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(render(feed, "running", 0, width=columns, height=lines))
    shown = console.export_text().splitlines()
    assert len(shown) <= lines
    assert max(map(len, shown)) <= columns
    assert all(name in "".join(shown) for name in feed.pictures)


def test_the_terminal_shows_frames_events_and_figures(make_server) -> None:
    server = make_server()
    feed = TerminalFeed()
    kinds = ("frame", "events", "stats")
    with FrameClient(server.service.data_address, kinds=kinds, newest=False) as client:
        while not (feed.frames and feed.pictures and feed.figures):
            feed.take(receive_one(client), client.tracker.description.get("digits", {}))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(feed, "running", 0))
    shown = console.export_text()
    assert "digits" in shown
    assert "spikes/step" in shown
    assert "running" in shown


def test_events_are_drawn_bright_and_dark_and_fade() -> None:
    picture = EventPicture(4, 4)
    events = np.array(
        [(0, 1, 2, True), (1, 3, 0, False), (2, 9, 9, True)],
        dtype=[("t_us", "<i8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")],
    )
    picture.add(events)
    first, second = picture.render(), picture.render()
    assert (first[2, 1], first[0, 3], first[1, 1]) == (255, 1, 128)
    assert 128 < second[2, 1] < 255
    assert picture.n_events == 2
