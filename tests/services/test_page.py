"""The live page in headless Chromium: what a person sees, and what the buttons do."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamvdib.services.view.launch import launch

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--window-size=1280,900",
    "about:blank",
]


class Browser:
    """Chromium over its debugging pipe: JSON objects that end in a zero byte."""

    def __init__(self, folder: Path) -> None:
        down_out, self._down = os.pipe()
        self._up, up_in = os.pipe()

        def place() -> None:
            os.dup2(down_out, 13)
            os.dup2(up_in, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)

        assert CHROMIUM
        self._process = subprocess.Popen(
            [CHROMIUM, f"--user-data-dir={folder}", *FLAGS],
            preexec_fn=place,
            close_fds=False,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(down_out)
        os.close(up_in)
        self._rest = b""
        self._number = 0
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})
        self._session = attached["sessionId"]

    def open(self, url: str) -> None:
        self._call("Page.navigate", {"url": url}, self._session)

    def run(self, script: str) -> Any:
        found = self._call(
            "Runtime.evaluate", {"expression": script, "returnByValue": True}, self._session
        )
        return found["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 60.0) -> Any:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            value = self.run(script)
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"not within {timeout_s} s: {script}")

    def screenshot(self, path: Path) -> None:
        found = self._call("Page.captureScreenshot", {"format": "png"}, self._session)
        path.write_bytes(base64.b64decode(found["data"]))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._down)
        os.close(self._up)

    def _call(self, method: str, params: dict, session: str | None = None) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._down, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                piece = os.read(self._up, 1 << 16)
                assert piece, "chromium has gone"
                self._rest += piece
            line, _, self._rest = self._rest.partition(b"\0")
            reply = json.loads(line)
            if reply.get("id") == self._number:
                assert "result" in reply, reply
                return reply["result"]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("the page is tested in Chromium, which is not installed")
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


@pytest.fixture
def calm_server(make_server, fake_station, paced_packets):
    """A server of 50 steps a second: Chromium draws without a graphics card here."""

    def make(station=None):
        station = station or fake_station()
        return make_server(
            station, sources={name: paced_packets(speed=0.05) for name in station.streams}
        )

    return make


@pytest.fixture
def open_page(browser):
    """Opens the page of a server, and closes its process at the end."""
    views = []

    def open_page(server) -> str:
        view = launch(
            "page", data=server.service.data_address, control=server.service.control_address
        )
        views.append(view)
        browser.open(view.url)
        return view.url

    yield open_page
    for view in views:
        view.close()


def kept(tmp_path: Path, name: str) -> Path:
    """Where a screenshot goes: the folder of STREAMVDIB_SCREENSHOTS, or a temporary one."""
    return Path(os.environ.get("STREAMVDIB_SCREENSHOTS", tmp_path)) / name


def test_the_page_shows_events_frame_and_plots(calm_server, browser, open_page, tmp_path) -> None:
    open_page(calm_server())
    browser.wait_for("document.querySelector('#frame-digits')?.width === 5")
    browser.wait_for("document.querySelector('#events-digits')?.width > 0")
    browser.wait_for("document.querySelector('#plot-events_per_s') !== null")
    browser.wait_for("document.querySelector('#state').textContent === 'running'")
    browser.wait_for("plots.get('latency').values.length > 8")
    browser.screenshot(kept(tmp_path, "one-stream.png"))
    labels = browser.run("[...document.querySelectorAll('.plot h3 span')].map(e => e.textContent)")
    assert {"events / s", "spikes / step", "nats / step", "dropped since the start"} <= set(labels)


def test_buttons_reach_the_engine(calm_server, fake_station, browser, open_page) -> None:
    station = fake_station()
    open_page(calm_server(station))
    browser.wait_for("document.querySelector('#learn').disabled === false")
    browser.run("document.querySelector('#learn').click()")
    browser.run(
        "const b = document.querySelector('#beta'); b.value = -2;"
        "b.dispatchEvent(new Event('change'))"
    )
    browser.run("document.querySelector('#snapshot').click()")
    deadline = time.monotonic() + 30.0
    while len(station.commands) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    names = [command for command, _ in station.commands]
    assert names == ["learn", "set_beta", "snapshot"]
    assert station.commands[0][1] == {"on": True}
    assert station.commands[1][1]["value"] == pytest.approx(0.01)


def test_pause_stops_the_engine_and_the_button_says_so(
    calm_server, fake_station, browser, open_page
) -> None:
    station = fake_station()
    open_page(calm_server(station))
    browser.wait_for("document.querySelector('#state').textContent === 'running'")
    browser.run("document.querySelector('#pause').click()")
    browser.wait_for("document.querySelector('#pause').textContent === 'Resume'")
    before = station.step
    time.sleep(0.3)
    assert station.step <= before + 1
    browser.run("document.querySelector('#pause').click()")
    browser.wait_for("document.querySelector('#state').textContent === 'running'")


def test_many_lanes_have_a_card_each(
    calm_server, fake_station, browser, open_page, tmp_path
) -> None:
    names = [f"camera{n}" for n in range(8)]
    open_page(calm_server(fake_station(names, shape=(28, 28))))
    browser.wait_for("document.querySelectorAll('.stream').length === 8")
    browser.wait_for("[...streams.values()].every(s => s.n > 1)")
    browser.screenshot(kept(tmp_path, "eight-streams.png"))


def test_a_hung_engine_shows_on_the_page(calm_server, fake_station, browser, open_page) -> None:
    station = fake_station()
    open_page(calm_server(station))
    browser.wait_for("document.querySelector('#state').textContent === 'running'")
    station.hang.set()
    browser.wait_for("document.querySelector('#state').textContent === 'hung'")
    station.hang.clear()


@pytest.fixture
def page_url(calm_server) -> Iterator[str]:
    server = calm_server()
    view = launch("page", data=server.service.data_address, control=server.service.control_address)
    yield view.url
    view.close()


def status_of(url: str, headers: dict[str, str]) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_another_host_name_is_refused(page_url: str) -> None:
    """DNS rebinding: a name of someone else's that points to this machine."""
    assert status_of(page_url, {}) == 200
    assert status_of(page_url, {"Host": "evil.example"}) == 403


def test_another_origin_is_refused(page_url: str) -> None:
    headers = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Upgrade": "websocket"}
    live = f"{page_url}live"
    assert status_of(live, {**headers, "Origin": "http://evil.example"}) == 403
    assert status_of(live, headers) == 403


def test_nothing_but_the_page_is_served(page_url: str) -> None:
    assert status_of(f"{page_url}page.js", {}) == 200
    assert status_of(f"{page_url}../server.py", {}) == 404
    assert status_of(f"{page_url}etc/passwd", {}) == 404
