"""One pixel: by hand, its laws, and against a slow reference that walks every microsecond."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from streamvdib.replay.simulator import PixelModel, simulate_frames

from streamvdib.errors import ConfigurationError
from streamvdib.events import EventArray, SensorSize

ONE = SensorSize(1, 1)
START = 50.0  # intensity, in the logarithmic part


def ideal(**changes: float) -> PixelModel:
    """A pixel without mismatch, reset time or noise, unless told."""
    constants = {
        "threshold_on": 0.3,
        "threshold_off": 0.3,
        "threshold_mismatch": 0.0,
        "refractory_us": 0.0,
        "leak_hz": 0.0,
        "shot_noise_hz": 0.0,
        "linear_below": 0.01,
        **changes,
    }
    return PixelModel(**constants)


def seen(levels: list[float], pixel: PixelModel, dt_us: int = 10_000, seed: int = 0) -> EventArray:
    """Events of one pixel whose log intensity goes through ``levels`` above START's."""
    images = [(k * dt_us, [[START * math.exp(level)]]) for k, level in enumerate(levels)]
    return simulate_frames(images, ONE, pixel, seed=seed)


def test_a_ramp_of_known_contrast_gives_events_at_known_times() -> None:
    """By hand: 1 log unit in 10 ms reaches 0.3, 0.6, 0.9 after 3, 6, 9 ms."""
    events = seen([0.0, 1.0], ideal())
    assert events["on"].all()
    np.testing.assert_allclose(events["t_us"], [3000, 6000, 9000], atol=1)


def test_the_change_during_the_reset_time_is_lost() -> None:
    """By hand: events at 3000, then 1000 us of reset and 3000 us of change again: 7000."""
    events = seen([0.0, 1.0], ideal(refractory_us=1000.0))
    np.testing.assert_allclose(events["t_us"], [3000, 7000], atol=1)


def test_a_fall_gives_off_events_at_the_off_threshold() -> None:
    """By hand: -1 in 10 ms with a threshold of 0.4: 4 and 8 ms."""
    events = seen([0.0, -1.0], ideal(threshold_off=0.4))
    assert not events["on"].any()
    np.testing.assert_allclose(events["t_us"], [4000, 8000], atol=1)


def test_change_that_gives_no_event_is_remembered_over_images() -> None:
    """By hand: 0.2 in each of three images; 0.3 is reached half-way through the second."""
    events = seen([0.0, 0.2, 0.4, 0.6], ideal())
    np.testing.assert_allclose(events["t_us"], [15_000, 30_000], atol=1)


def test_the_level_is_linear_near_black_and_joins_the_logarithm_smoothly() -> None:
    """By hand: u(10) = 10/20 + ln 20 - 1; at 20 both parts and both slopes (1/20) agree."""
    pixel = ideal(linear_below=20.0)
    assert pixel.level(10.0) == pytest.approx(0.5 + math.log(20) - 1)
    below, at, above = pixel.level([20 - 1e-6, 20.0, 20 + 1e-6])
    assert at == pytest.approx(math.log(20))
    assert (above - at) == pytest.approx(at - below, rel=1e-4)


def test_the_photoreceptor_follows_exponentially_and_faster_in_the_light() -> None:
    """By hand: at white, after one time constant, 1 - 1/e of the way; in the dark slower."""
    pixel = ideal(tau_us=1000.0)
    assert pixel.gain(255.0, 1000.0) == pytest.approx(1 - 1 / math.e)
    assert pixel.gain(0.0, 1000.0) == pytest.approx(1 - math.exp(-20 / 275))


def test_a_leaking_pixel_gives_on_events_in_a_still_scene_at_the_leak_rate() -> None:
    images = [(0, np.full((10, 10), START)), (100_000_000, np.full((10, 10), START))]
    events = simulate_frames(images, SensorSize(10, 10), ideal(leak_hz=0.5))
    assert events["on"].all()
    assert len(events) == pytest.approx(100 * 100 * 0.5, rel=0.03)


def test_shot_noise_has_its_rate_and_is_rarer_in_the_light() -> None:
    def count(intensity: float) -> int:
        images = [(0, np.full((10, 10), intensity)), (100_000_000, np.full((10, 10), intensity))]
        return len(simulate_frames(images, SensorSize(10, 10), ideal(shot_noise_hz=1.0)))

    assert count(0.0) == pytest.approx(10_000, rel=0.1)
    assert count(255.0) == pytest.approx(2_500, rel=0.1)


@given(level=st.floats(-3, 3))
def test_a_still_scene_without_noise_gives_no_event(level: float) -> None:
    assert len(seen([level] * 4, ideal())) == 0


@given(contrast=st.floats(0.05, 1.5), threshold=st.floats(0.1, 0.5))
def test_double_contrast_gives_double_events(contrast: float, threshold: float) -> None:
    pixel = ideal(threshold_on=threshold)
    assume(abs(2 * contrast / threshold - round(2 * contrast / threshold)) > 1e-6)
    one, two = (len(seen([0.0, scale * contrast], pixel)) for scale in (1, 2))
    assert 2 * one <= two <= 2 * one + 1


@given(levels=st.lists(st.floats(-2, 2), min_size=2, max_size=6))
def test_turning_the_scene_upside_down_swaps_on_and_off(levels: list[float]) -> None:
    # Odd values: where a threshold is met exactly at an image, rounding decides.
    pixel = ideal(threshold_on=0.2871828, threshold_off=0.2871828)
    levels = [level + 0.0131 * k * k for k, level in enumerate(levels)]
    events, mirrored = seen(levels, pixel), seen([-level for level in levels], pixel)
    np.testing.assert_array_equal(events["on"], ~mirrored["on"])
    np.testing.assert_allclose(events["t_us"], mirrored["t_us"], atol=1)


@given(levels=st.lists(st.floats(-2, 2), min_size=2, max_size=6), refractory=st.integers(50, 5000))
def test_no_two_events_of_a_pixel_are_closer_than_the_reset_time(
    levels: list[float], refractory: int
) -> None:
    pixel = ideal(refractory_us=refractory, shot_noise_hz=500.0, leak_hz=20.0)
    gaps = np.diff(seen(levels, pixel)["t_us"])
    assert (gaps >= refractory - 1).all()


@given(levels=st.lists(st.floats(-2, 2), min_size=2, max_size=5), seed=st.integers(0, 9))
def test_a_seed_repeats_its_events(levels: list[float], seed: int) -> None:
    pixel = ideal(threshold_mismatch=0.05, shot_noise_hz=100.0, leak_hz=10.0)
    np.testing.assert_array_equal(seen(levels, pixel, seed=seed), seen(levels, pixel, seed=seed))


def test_another_seed_gives_other_events() -> None:
    pixel = ideal(threshold_mismatch=0.05)
    assert seen([0.0, 2.0], pixel, seed=1).tolist() != seen([0.0, 2.0], pixel, seed=2).tolist()


def reference_events(levels: list[float], pixel: PixelModel, dt_us: int) -> list[tuple[int, bool]]:
    """The model of the docstring, microsecond by microsecond, for leakless and leaking pixels."""
    total = (len(levels) - 1) * dt_us
    level = np.interp(np.arange(total + 1), np.arange(len(levels)) * dt_us, levels)
    leak = pixel.leak_hz * 1e-6 * pixel.threshold_on
    memorised, released, events = level[0], 0, []
    for t in range(total + 1):
        if t < released:
            memorised = level[t + 1] if t < total else level[t]
            continue
        change = level[t] - memorised + leak * (t - released)
        if change >= pixel.threshold_on or change <= -pixel.threshold_off:
            events.append((t, change > 0))
            released, memorised = t + int(pixel.refractory_us), level[t]
    return events


@pytest.mark.parametrize("case", range(12))
def test_the_kernel_agrees_with_a_reference_that_walks_every_microsecond(case: int) -> None:
    rng = np.random.default_rng(case)
    levels = [0.0, *np.cumsum(rng.normal(0, 0.8, 5))]
    pixel = ideal(
        threshold_on=rng.uniform(0.1, 0.4),
        threshold_off=rng.uniform(0.1, 0.4),
        refractory_us=float(rng.integers(0, 3) * 700),
    )
    expected = reference_events(levels, pixel, 5000)
    events = seen(levels, pixel, dt_us=5000)
    assert events["on"].tolist() == [on for _, on in expected]
    slopes = np.abs(np.diff(levels))
    # The reference memorises up to 1 us late at each event; on a flatter line that is longer.
    drift = (2 + len(expected)) * slopes.max() / slopes.min()
    np.testing.assert_allclose(events["t_us"], [t for t, _ in expected], atol=drift)


@pytest.mark.parametrize(
    ("name", "value"), [("threshold_on", 0.0), ("refractory_us", -1.0), ("leak_hz", -0.1)]
)
def test_a_constant_that_cannot_be_meant_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        PixelModel(**{name: value})
