"""Every recording in the shared data against the counts that were checked with other readers."""

from pathlib import Path

import numpy as np
import pytest

from streamvdib.events import SensorSize
from streamvdib.sources import open_source
from tests.sources.written import join

CASES = {
    "aedat4/davis346_street_with_frames.aedat4": (SensorSize(346, 260), 78_830, 2.360),
    "aedat4/dvxplorer_320x240.aedat4": (SensorSize(320, 240), 111_954, 0.590),
    "prophesee/evt3_imx636.raw": (SensorSize(1280, 720), 1_218_618, 10.768),
    "prophesee/imx636_same_recording.dat": (SensorSize(1280, 720), 1_218_618, 10.768),
    "prophesee/evt3_sample.raw": (SensorSize(1280, 720), 219_596, 0.0088),
    "prophesee/evt2_sample.raw": (SensorSize(640, 480), 539_481, 0.0500),
    "prophesee/evt2_gen3_no_geometry.raw": (SensorSize(640, 480), 521_252, 0.0959),
    "prophesee/ncars_no_size.dat": (SensorSize(120, 100), 2_009, 0.09995),
    "event_stream/dvs_320x240.es": (SensorSize(320, 240), 473_225, 0.999),
    "event_stream/atis_320x240.es": (SensorSize(320, 240), 473_225, 0.999),
    "aedat_legacy/dvs128_moving_dark_box.aedat": (SensorSize(128, 128), 489_834, 39.81),
    "aedat_legacy/calibration_24.aedat": (SensorSize(128, 128), 107_425, 0.577),
    "aedat_legacy/checkerboard_2.aedat": (SensorSize(128, 128), 30_350, 0.125),
    "aedat_legacy/aedat1_tmpdiff128.dat": (SensorSize(128, 128), 121_270, 21.89),
    "aedat_legacy/aedat1_grasp.dat": (SensorSize(128, 128), 48_100, 0.476),
    "text/slider_depth_first_50k.txt": (SensorSize(240, 180), 50_000, 0.1704),
    "rosbag/event_camera_msgs_evt3.bag": (SensorSize(640, 480), 343_474, 2.078),
    "hdf5/event.hdf5": (SensorSize(304, 240), 17, 0.005748),
    "atis/ncaltech101_face.bin": (SensorSize(240, 180), 67_445, 0.299),
    "nmnist/train/00000.bin": (SensorSize(34, 34), 4_681, 0.305),
}


@pytest.mark.parametrize("name", CASES)
def test_a_recording_holds_the_events_that_other_readers_found(
    name: str, shared_data: Path
) -> None:
    size, n_events, duration_s = CASES[name]
    source = open_source(shared_data / name)
    events = join(source)
    assert source.sensor_size == size
    assert len(events) == n_events
    assert (np.diff(events["t_us"]) >= 0).all()
    span_s = (events["t_us"][-1] - events["t_us"][0]) / 1e6
    assert span_s == pytest.approx(duration_s, abs=0.0006 if duration_s > 0.01 else 1e-5)


def test_a_raw_file_and_its_dat_twin_agree_event_for_event(shared_data: Path) -> None:
    """DAT counts from the first TIME_HIGH word (2733), RAW from the sensor's start."""
    raw = join(open_source(shared_data / "prophesee/evt3_imx636.raw"))
    dat = join(open_source(shared_data / "prophesee/imx636_same_recording.dat"))
    raw["t_us"] -= 2733 << 12
    assert dat["t_us"][0] == 5_856
    np.testing.assert_array_equal(raw, dat)


def test_the_polarities_of_a_bag_are_those_that_were_counted(shared_data: Path) -> None:
    source = open_source(shared_data / "rosbag/event_camera_msgs_evt3.bag")
    on = join(source)["on"]
    assert (np.count_nonzero(~on), np.count_nonzero(on)) == (218_291, 125_183)


def test_the_first_and_last_times_of_an_evt3_sample(shared_data: Path) -> None:
    events = join(open_source(shared_data / "prophesee/evt3_sample.raw"))
    assert (events["t_us"][0], events["t_us"][-1]) == (11_718_656, 11_727_457)


def test_aps_frames_come_with_the_packets_of_their_time(shared_data: Path) -> None:
    source = open_source(shared_data / "aedat4/davis346_street_with_frames.aedat4")
    images = [image for packet in source for image in packet.images]
    assert len(images) == 59
    assert {image.pixels.shape for image in images} == {(260, 346)}
    assert {image.pixels.dtype for image in images} == {np.dtype(np.uint8)}
    assert set(np.diff([image.t_us for image in images])) <= {40_000, 40_001}


def test_the_exposure_events_of_an_atis_recording_are_counted(shared_data: Path) -> None:
    source = open_source(shared_data / "event_stream/atis_320x240.es")
    assert len(join(source)) + source.counters["exposures"] - 1_326_017 == 0


def test_a_rollover_of_evt3_is_counted(shared_data: Path) -> None:
    source = open_source(shared_data / "prophesee/evt3_imx636.raw")
    join(source)
    assert source.counters["wraps"] == 1


def test_a_header_without_data_is_a_recording_without_events(shared_data: Path) -> None:
    source = open_source(shared_data / "aedat_legacy/header_only.aedat")
    assert source.sensor_size == SensorSize(346, 260)
    assert list(source) == []


def test_all_n_mnist_recordings_are_recognised(shared_data: Path) -> None:
    """Their events in all: 4,130 on average."""
    paths = sorted((shared_data / "nmnist/train").glob("*.bin"))
    sources = [open_source(path) for path in paths]
    assert {source.sensor_size for source in sources} == {SensorSize(34, 34)}
    n_events = sum(len(join(source)) for source in sources)
    assert n_events == sum(path.stat().st_size for path in paths) // 5
    assert n_events / len(paths) == pytest.approx(4_130, abs=5)


@pytest.mark.parametrize("name", ["davis346_street_with_frames", "dvxplorer_320x240"])
def test_dv_processing_finds_the_same_events(name: str, shared_data: Path) -> None:
    dv = pytest.importorskip("dv_processing")
    path = shared_data / f"aedat4/{name}.aedat4"
    reader, batches = dv.io.MonoCameraRecording(str(path)), []
    while (batch := reader.getNextEventBatch("events")) is not None:
        batches.append(batch.numpy())
    theirs, ours = np.concatenate(batches), join(open_source(path))
    for own, other in (("t_us", "timestamp"), ("x", "x"), ("y", "y"), ("on", "polarity")):
        np.testing.assert_array_equal(ours[own], theirs[other])


FAERY_READS = (
    "prophesee/evt3_imx636.raw",
    "prophesee/imx636_same_recording.dat",
    "prophesee/evt2_sample.raw",
    "prophesee/evt2_gen3_no_geometry.raw",
    "event_stream/dvs_320x240.es",
    "event_stream/atis_320x240.es",
)


@pytest.mark.parametrize("name", FAERY_READS)
def test_faery_finds_the_same_events(name: str, shared_data: Path) -> None:
    faery = pytest.importorskip("faery")
    theirs = faery.events_stream_from_file(shared_data / name).to_array()
    ours = join(open_source(shared_data / name))
    np.testing.assert_array_equal(ours["t_us"], theirs["t"].astype(np.int64))
    np.testing.assert_array_equal(ours["x"], theirs["x"])
    np.testing.assert_array_equal(ours["y"], theirs["y"])
    np.testing.assert_array_equal(ours["on"], theirs["on"])
