"""Simulated recordings of digits: single, in bulk, and next to real ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamvdib.replay.datasets import open_dataset
from streamvdib.replay.simulation.comparison import compare, correlation, similarity
from streamvdib.replay.simulator import (
    MNIST_DVS_CROP,
    NMNIST_SIZE,
    draw_digit,
    empty_steps,
    pack_events,
    simulate_binned,
    simulate_mnist_dvs,
    simulate_nmnist,
)

from streamvdib.errors import ConfigurationError, GeometryError
from streamvdib.events import as_events
from streamvdib.geometry import Box, parse_crop


def test_a_recording_lies_on_the_sensor_and_in_its_310_ms_in_order() -> None:
    events = simulate_nmnist(draw_digit(3, 0), seed=0)
    assert (np.diff(events["t_us"]) >= 0).all()
    assert events["t_us"][0] >= 0
    assert events["t_us"][-1] <= 310_000
    assert events["x"].max() < 34
    assert events["y"].max() < 34


def test_the_digit_moves_down_then_up_then_back_to_the_left() -> None:
    """The three saccades: centre of the events at the start, the corners and the end."""
    events = simulate_nmnist(draw_digit(0, 0), seed=0)

    def centre(start_ms: int, end_ms: int) -> tuple[float, float]:
        part = events[(events["t_us"] >= start_ms * 1000) & (events["t_us"] < end_ms * 1000)]
        return float(part["x"].mean()), float(part["y"].mean())

    first, down, up, back = centre(15, 40), centre(60, 80), centre(160, 180), centre(270, 290)
    assert down[1] > first[1] + 2
    assert up[1] < down[1] - 2
    assert up[0] > down[0] + 1
    assert back[0] < up[0] - 2


def test_a_seed_repeats_its_recording_and_another_gives_another() -> None:
    digit = draw_digit(5, 1)
    np.testing.assert_array_equal(simulate_nmnist(digit, 7), simulate_nmnist(digit, 7))
    assert len(simulate_nmnist(digit, 7)) != len(simulate_nmnist(digit, 8))


@settings(max_examples=8)
@given(
    digits=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    dt_us=st.sampled_from([5_000, 10_000, 33_000]),
    crop=st.sampled_from([None, "26x26", "20x10+3+5"]),
    n_threads=st.integers(1, 3),
)
def test_bulk_bits_are_those_of_the_single_recordings(
    digits: list[int], dt_us: int, crop: str | None, n_threads: int
) -> None:
    images = np.stack([draw_digit(digit, 2) for digit in digits])
    seeds = range(11, 11 + len(digits))
    box = parse_crop(crop, NMNIST_SIZE)
    bulk = simulate_binned(images, seeds, dt_us=dt_us, n_steps=12, crop=box, n_threads=n_threads)
    single = empty_steps(len(digits), 12, box, dt_us)
    for k, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        pack_events(simulate_nmnist(image, seed), single, k)
    np.testing.assert_array_equal(bulk.bits, single.bits)


def test_a_bit_stands_for_its_polarity_row_and_column() -> None:
    """By hand: x = 5, y = 6, ON, 25 ms, on a crop that begins at (4, 4)."""
    steps = empty_steps(1, 3, Box(4, 4, 26, 26), 10_000)
    pack_events(as_events([25_000, 1], [5, 3], [6, 6], [True, True]), steps, 0)
    unpacked = steps.unpack([0])
    assert unpacked.shape == (1, 3, 2, 26, 26)
    assert np.argwhere(unpacked).tolist() == [[0, 2, 1, 2, 1]]


def test_a_crop_off_the_sensor_is_refused() -> None:
    with pytest.raises(GeometryError, match="34x34"):
        simulate_binned(np.zeros((1, 28, 28), np.uint8), [0], crop=Box(20, 20, 26, 26))


def test_an_image_that_is_no_digit_is_refused_by_its_shape() -> None:
    with pytest.raises(ConfigurationError, match=r"\(28, 28\); got \(32, 32\)"):
        simulate_nmnist(np.zeros((32, 32), np.uint8), 0)


def test_images_and_seeds_must_be_as_many() -> None:
    with pytest.raises(ConfigurationError, match="1 images, 2 seeds"):
        simulate_binned(np.zeros((1, 28, 28), np.uint8), [0, 1])


def test_a_slow_digit_stays_within_the_middle_of_a_dvs128() -> None:
    events = simulate_mnist_dvs(draw_digit(0, 0), 1, duration_us=1_500_000)
    box = MNIST_DVS_CROP
    inside = (events["x"] >= box.x) & (events["x"] < box.x + box.width)
    inside &= (events["y"] >= box.y) & (events["y"] < box.y + box.height)
    noise = np.count_nonzero(~inside) / (128 * 128 - 26 * 26) * 26 * 26
    assert inside.sum() > 20 * noise
    assert events["t_us"][-1] <= 1_500_000


@given(digit=st.integers(0, 9), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_a_drawn_digit_is_normalised_as_mnist_is(digit: int, seed: int) -> None:
    """Within about 20 x 20, ink's centre of mass in the middle, paper black, ink white."""
    image = draw_digit(digit, seed).astype(float)
    rows, columns = np.nonzero(image > 127)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in range(18, 22)
    y, x = (np.arange(28) @ image.sum(axis) / image.sum() for axis in (1, 0))
    assert abs(y - 13.5) < 0.3
    assert abs(x - 13.5) < 0.3
    assert image.max() == 255
    np.testing.assert_array_equal(image, draw_digit(digit, seed))


def test_a_digit_above_nine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"0\.\.9; got 10"):
        draw_digit(10, 0)


def test_a_recording_is_like_itself_and_unlike_another_digits() -> None:
    one, other = simulate_nmnist(draw_digit(1, 0), 0), simulate_nmnist(draw_digit(0, 0), 0)
    assert similarity(one, one, NMNIST_SIZE, 31) == pytest.approx(1.0)
    assert similarity(one, other, NMNIST_SIZE, 31) < 0.4


def test_the_correlation_of_a_constant_is_zero() -> None:
    assert correlation(np.ones(3), np.arange(3.0)) == 0.0


def test_simulated_recordings_are_like_real_ones_of_the_same_images(shared_data: Path) -> None:
    """Recordings that the fit did not see (docs/datasets.md has the figures of 200)."""
    chosen = open_dataset(shared_data / "nmnist").split("validation").recordings[:12]
    pairs = []
    for seed, one in enumerate(chosen):
        assert one.target is not None
        pairs.append((one.read(), simulate_nmnist(one.target, seed)))
    found = compare(pairs, NMNIST_SIZE, 31)
    real, simulated = np.array(found.real.counts), np.array(found.simulated.counts)
    assert simulated.mean() == pytest.approx(real.mean(), rel=0.1)
    assert correlation(real.astype(float), simulated.astype(float)) > 0.9
    assert sum(found.simulated.on_counts) / simulated.sum() == pytest.approx(0.5, abs=0.05)
    assert correlation(found.real.rate_map, found.simulated.rate_map) > 0.9
    assert np.mean(found.similarities) > 0.6
