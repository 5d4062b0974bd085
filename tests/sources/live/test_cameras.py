"""Camera libraries, each behind a fake of it: no camera is at hand."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streamvdib.errors import ConfigurationError, LiveSourceError, MissingExtraError
from streamvdib.events import SensorSize
from streamvdib.sources import cameras, open_source
from streamvdib.sources.devices import DeviceFeed, Driver
from streamvdib.sources.drivers.event_camera import EventCameraDriver
from streamvdib.sources.drivers.inivation_dv import InivationDriver
from streamvdib.sources.drivers.metavision import MetavisionDriver
from streamvdib.sources.drivers.neuromorphic import NeuromorphicDriver
from streamvdib.sources.live import LiveOptions, LiveSource

EXPECTED = [(10, 1, 2, True), (20, 3, 4, False)]
FAERY = np.array([(10, 1, 2, 1), (20, 3, 4, 0)], dtype="u8,u2,u2,?")
FAERY.dtype.names = ("t", "x", "y", "on")


class FakeDvCamera:
    def __init__(self) -> None:
        records = np.array(EXPECTED, dtype="i8,i2,i2,i1")
        records.dtype.names = ("timestamp", "x", "y", "polarity")
        self.batches = [records, None]
        self.n_asked = 0
        self.frames = [SimpleNamespace(timestamp=15, image=np.full((2, 2, 3), 9, np.uint8)), None]

    def getCameraName(self) -> str:  # noqa: N802 - the library's
        return "FAKE_1"

    def getEventResolution(self) -> tuple[int, int]:  # noqa: N802
        return (346, 260)

    def getNextEventBatch(self) -> Any:  # noqa: N802
        records = self.batches.pop(0) if self.batches else None
        return None if records is None else SimpleNamespace(numpy=lambda: records)

    def getNextFrame(self) -> Any:  # noqa: N802
        return self.frames.pop(0) if self.frames else None

    def isFrameStreamAvailable(self) -> bool:  # noqa: N802
        return True

    def isRunning(self) -> bool:  # noqa: N802
        self.n_asked += 1
        return self.n_asked < 3


class FakeNeuromorphicDevice:
    def __init__(self) -> None:
        packet = SimpleNamespace(polarity_events=FAERY, polarity_events_overflow_indices=[1])
        ring = SimpleNamespace(dropped_packets=2)
        self.packets = [
            (SimpleNamespace(ring=ring), packet),
            (SimpleNamespace(ring=None), None),
        ]

    def properties(self) -> Any:
        return SimpleNamespace(width=1280, height=720)

    def serial(self) -> str:
        return "00ABC"

    def __next__(self) -> Any:
        if not self.packets:
            raise RuntimeError("device disconnected")
        return self.packets.pop(0)

    def close(self) -> None:
        self.packets.clear()


class FakeEventCamera:
    def __init__(self) -> None:
        self.buffers = [FAERY, FAERY[:0]]

    def resolution(self) -> tuple[int, int]:
        return (640, 480)

    def __next__(self) -> Any:
        if not self.buffers:
            raise StopIteration
        return self.buffers.pop(0)


class FakeSlices:
    def __init__(self) -> None:
        records = np.array([(1, 2, 1, 10), (3, 4, 0, 20)], dtype="u2,u2,i2,i8")
        records.dtype.names = ("x", "y", "p", "t")
        self.slices = [records, records[:0]]
        self.current_time = 0

    def get_size(self) -> tuple[int, int]:
        return (720, 1280)

    def get_current_time(self) -> int:
        return self.current_time

    def __iter__(self) -> Any:
        for one in self.slices:
            self.current_time += 2000
            yield one


DRIVERS = {
    "dv": (lambda: InivationDriver(FakeDvCamera()), SensorSize(346, 260)),
    "neuromorphic": (
        lambda: NeuromorphicDriver(FakeNeuromorphicDevice()),
        SensorSize(1280, 720),
    ),
    "event-camera": (lambda: EventCameraDriver(FakeEventCamera()), SensorSize(640, 480)),
    "metavision": (
        lambda: MetavisionDriver(FakeSlices(), "prophesee://"),
        SensorSize(1280, 720),
    ),
}


@pytest.mark.parametrize("library", DRIVERS)
def test_a_driver_gives_events_then_nothing_then_says_that_the_camera_went(library: str) -> None:
    opened, size = DRIVERS[library]
    driver: Driver = opened()
    assert driver.sensor_size == size
    batch = driver.poll()
    assert batch is not None
    assert batch.events.tolist() == EXPECTED
    rest = driver.poll()
    assert rest is None or len(rest.events) == 0
    with pytest.raises(LiveSourceError):
        driver.poll()
    driver.close()
    driver.close()


@pytest.mark.parametrize("library", DRIVERS)
def test_every_library_makes_a_source_that_survives_unplugging(library: str, tools: Any) -> None:
    """Each replugged camera's clock starts at 10 us again: its events go on from there.

    Metavision has promised that nothing comes before 4,000 us, the others nothing.
    """
    clock = tools.FakeClock()
    feed = DeviceFeed("fake://", DRIVERS[library][0], clock=clock)
    source = LiveSource(feed, LiveOptions(clock_rate=0.0), clock=clock)
    times: list[int] = []
    for packet in source:
        times += packet.events["t_us"].tolist()
        if len(times) >= 5:
            break
    source.close()
    again_us = 4000 if library == "metavision" else 20
    assert times[:4] == [10, 20, again_us, again_us + 10]
    assert source.counters["reconnections"] >= 2
    assert source.counters["clock_resets"] >= 2


def test_the_frames_of_a_davis_come_with_the_events() -> None:
    batch = InivationDriver(FakeDvCamera()).poll()
    assert batch is not None
    assert batch.images[0].t_us == 15
    assert batch.images[0].pixels.tolist() == [[9, 9], [9, 9]]


def test_the_frames_of_a_davis_by_neuromorphic_drivers_come_at_the_middle_of_their_exposure() -> (
    None
):
    """By hand: exposed from 100 to 140 us; a pixel of 10 bits, times 64."""
    device = FakeNeuromorphicDevice()
    pixels = np.array([[1023 * 64, 0]], np.uint16)
    frame = SimpleNamespace(t=200, exposure_start_t=100, exposure_end_t=140, pixels=pixels)
    packet = SimpleNamespace(polarity_events=None, frames=[frame])
    device.packets = [(SimpleNamespace(ring=None), packet)]
    batch = NeuromorphicDriver(device).poll()
    assert batch is not None
    assert len(batch.events) == 0
    assert batch.images[0].t_us == 120
    assert batch.images[0].pixels.tolist() == [[255, 0]]


def test_a_metavision_slice_out_of_order_is_a_live_error() -> None:
    """As ``EventsIterator`` does: it asserts."""

    class OutOfOrder(FakeSlices):
        def __iter__(self) -> Any:
            raise AssertionError("events['t'][0] (5)   prev_ts (2000)")
            yield

    with pytest.raises(LiveSourceError, match="must answer"):
        MetavisionDriver(OutOfOrder(), "prophesee://").poll()


def installed_methods(kind: Any) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_") or name == "__next__"}


def test_the_fakes_have_no_method_that_the_libraries_lack() -> None:
    """Against those of the libraries that are installed."""
    found = 0
    if importlib.util.find_spec("dv_processing") is not None:
        import dv_processing

        fake = {name for name in vars(FakeDvCamera) if not name.startswith("_")}
        assert fake <= installed_methods(dv_processing.io.camera.CameraInputBase)
        found += 1
    if importlib.util.find_spec("neuromorphic_drivers") is not None:
        from neuromorphic_drivers.device import Device

        fake = {name for name in vars(FakeNeuromorphicDevice) if not name.startswith("__init")}
        assert {name for name in fake if name in ("properties", "serial", "close")} <= (
            installed_methods(Device)
        )
        found += 1
    if importlib.util.find_spec("event_camera_drivers") is not None:
        import event_camera_drivers

        assert {"resolution", "__next__"} <= installed_methods(event_camera_drivers.InivationCamera)
        found += 1
    if not found:
        pytest.skip("no camera library is installed")


def test_losses_reported_by_neuromorphic_drivers_are_counted() -> None:
    driver = NeuromorphicDriver(FakeNeuromorphicDevice())
    driver.poll()
    assert driver.lost == 3


def test_the_first_library_that_is_installed_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"neuromorphic_drivers", "event_camera_drivers"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: True if name in installed else None
    )
    assert cameras.choose_library("inivation") == "neuromorphic"
    assert cameras.choose_library("inivation", "event-camera") == "event-camera"
    with pytest.raises(MissingExtraError, match="dv-processing"):
        cameras.choose_library("inivation", "dv")


def test_without_any_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match="camera-prophesee"):
        open_source("prophesee://")


@pytest.mark.parametrize(
    ("library", "remedy"),
    [("metavision", "docs.prophesee.ai"), ("event-camera", "pip install event-camera-drivers")],
)
def test_a_library_without_an_extra_says_how_it_is_installed(
    library: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=remedy):
        open_source(f"camera://?driver={library}")


def test_a_library_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="driver must be one of"):
        open_source("inivation://?driver=windows")


def test_without_a_camera_the_error_says_what_to_do() -> None:
    pytest.importorskip("dv_processing")
    with pytest.raises(LiveSourceError, match="plugged in"):
        open_source("inivation://?driver=dv&connect_s=0")
