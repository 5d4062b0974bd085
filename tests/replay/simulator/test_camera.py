"""Sequences of images."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamvdib.replay.simulator import EventCamera, PixelModel, simulate_frames

from streamvdib.errors import ConfigurationError, EventOrderError
from streamvdib.events import SensorSize

QUIET = PixelModel(threshold_mismatch=0.0, leak_hz=0.0, shot_noise_hz=0.0)


def test_events_lie_where_the_image_changed_and_in_order_of_time() -> None:
    """By hand: one pixel of four goes from 50 to 100 (ln 2 = 0.69): 3 ON events at 0.2 each."""
    dark = np.full((2, 2), 50.0)
    bright = dark.copy()
    bright[1, 0] = 100.0
    events = simulate_frames([(0, dark), (10_000, bright)], SensorSize(2, 2), QUIET)
    assert set(zip(events["x"].tolist(), events["y"].tolist(), strict=True)) == {(0, 1)}
    assert events["on"].tolist() == [True] * 3
    assert (np.diff(events["t_us"]) > 0).all()


@given(cuts=st.lists(st.integers(1, 99), unique=True, max_size=6))
def test_images_in_between_on_the_same_line_change_nothing(cuts: list[int]) -> None:
    """Law: a ramp of log intensity gives the same events however many images show it."""
    times = [0, *sorted(cuts), 100]
    images = [(100 * t, [[50.0 * math.exp(0.019 * t)]]) for t in times]
    whole = simulate_frames([images[0], images[-1]], SensorSize(1, 1), QUIET)
    cut = simulate_frames(images, SensorSize(1, 1), QUIET)
    np.testing.assert_allclose(cut["t_us"], whole["t_us"], atol=1)


def test_room_for_events_grows_when_it_is_needed_and_nothing_is_lost() -> None:
    """By hand: 10,000 pixels x floor(2 / 0.2 (1 - 1e-9)) = 9 or 10 events each."""
    images = [(0, np.full((100, 100), 20.0)), (1_000_000, np.full((100, 100), 20 * math.exp(2.1)))]
    pixel = PixelModel(threshold_mismatch=0.0, leak_hz=0.0, shot_noise_hz=0.0, refractory_us=0.0)
    assert len(simulate_frames(images, SensorSize(100, 100), pixel)) == 100_000


def test_after_warm_up_more_images_take_no_more_memory() -> None:
    rng = np.random.default_rng(0)
    camera = EventCamera(SensorSize(8, 8))
    for k in range(50):
        camera.push(k * 1000, rng.uniform(0, 255, (8, 8)))
    sizes = camera._buffers.times.nbytes, camera._states.nbytes
    for k in range(50, 1000):
        camera.push(k * 1000, rng.uniform(0, 255, (8, 8)))
    assert (camera._buffers.times.nbytes, camera._states.nbytes) == sizes


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\(height, width\) of a 3x2 sensor"):
        EventCamera(SensorSize(3, 2)).push(0, np.zeros((3, 2)))


def test_an_image_that_is_not_later_is_refused() -> None:
    camera = EventCamera(SensorSize(1, 1))
    camera.push(10, [[1.0]])
    with pytest.raises(EventOrderError, match="got t=10 us"):
        camera.push(10, [[1.0]])


def test_an_intensity_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="finite"):
        EventCamera(SensorSize(1, 1)).push(0, [[math.nan]])
