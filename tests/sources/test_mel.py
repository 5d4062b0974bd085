"""The causal mel spectrogram."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError
from streamvdib.sources.mel import SILENCE_DB, MelFrames, MelSettings, MelWindow, mel_filters

RATE = 8_000


def tone(frequency_hz: float, seconds: float, rate_hz: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(seconds * rate_hz)) / rate_hz)


@pytest.mark.parametrize("frequency_hz", [200.0, 700.0, 1_500.0, 3_000.0])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 44_100])
def test_a_tone_is_brightest_in_the_channel_of_its_pitch(frequency_hz: float, rate_hz: int) -> None:
    """Oracle: the mel formula, from which the channels' centres follow."""
    mel = MelFrames(rate_hz, MelSettings())
    frames = list(mel.push(tone(frequency_hz, 0.3, rate_hz)))
    ends = 2595 * np.log10(1 + np.array([80.0, 3_800.0]) / 700)
    pitch = 2595 * np.log10(1 + frequency_hz / 700)
    channel = (pitch - ends[0]) / (ends[1] - ends[0]) * 40 - 1
    assert abs(int(frames[-1].argmax()) - channel) <= 1.0


def test_the_filters_are_triangles_that_sum_to_one_and_overlap_by_half() -> None:
    """By hand, 2 channels over 0 to 2,000 Hz in bins of 100 Hz: centres evenly spaced in mel."""
    given = MelSettings(n_channels=2, lowest_hz=0.0, highest_hz=2_000.0)
    filters = mel_filters(given, rate_hz=4_000, n_fft=40)
    corners = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 2000 / 700), 4) / 2595) - 1)
    bins = np.arange(21) * 100.0
    for channel in range(2):
        triangle = np.interp(bins, corners[channel : channel + 3], [0.0, 1.0, 0.0], 0.0, 0.0)
        np.testing.assert_allclose(filters[channel], triangle / triangle.sum(), atol=1e-12)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=12), st.sampled_from([8_000, 11_025]))
def test_frames_do_not_depend_on_how_the_samples_were_cut(sizes: list[int], rate_hz: int) -> None:
    samples = np.random.default_rng(0).normal(size=sum(sizes)) * 0.1
    whole = list(MelFrames(rate_hz, MelSettings()).push(samples))
    mel = MelFrames(rate_hz, MelSettings())
    parts = [frame for part in np.split(samples, np.cumsum(sizes)[:-1]) for frame in mel.push(part)]
    assert len(parts) == len(whole) == int((len(samples) + 0.5) // (0.02 * rate_hz))
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frame_sees_nothing_of_what_comes_later() -> None:
    """Law: causality."""
    samples = np.random.default_rng(1).normal(size=1_600) * 0.1
    other = samples.copy()
    other[801:] = 0.0
    first, second = (list(MelFrames(RATE, MelSettings()).push(s)) for s in (samples, other))
    for frame in range(5):  # frame 4 ends with sample 800
        np.testing.assert_array_equal(first[frame], second[frame])
    assert not np.array_equal(first[5], second[5])


def test_silence_is_dark_and_the_loudest_of_the_window_is_white() -> None:
    window = MelWindow(MelSettings(n_channels=2, n_frames=3))
    assert not window.picture().any()
    window.push(np.array([-20.0, -40.0], dtype=np.float32))
    np.testing.assert_allclose(window.picture()[:, -1], [1.0, 0.5])
    for _ in range(3):
        window.push(np.array([SILENCE_DB, SILENCE_DB], dtype=np.float32))
    assert not window.picture().any()


def test_a_hum_below_the_quietest_level_does_not_become_white() -> None:
    window = MelWindow(MelSettings(n_channels=1, n_frames=1))
    window.push(np.array([-80.0], dtype=np.float32))
    assert window.picture().item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "wrong", [{"n_channels": 0}, {"lowest_hz": 5_000.0}, {"range_db": 0.0}, {"hop_us": 0}]
)
def test_settings_that_cannot_be_meant_are_errors(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        MelSettings(**wrong)  # type: ignore[arg-type]


def test_a_rate_below_the_mel_bands_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="sampling rate"):
        MelFrames(100, MelSettings())
