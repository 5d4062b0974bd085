"""A causal mel spectrogram of the last moments of a sound: what an ear-like sensor shows.

    e_c = sum_f filter_cf |FFT(hann * samples)|_f^2        39 triangles, evenly spaced in mel
    picture = clip(1 + (10 log10 e - top) / range_db, 0, 1)   top: the loudest of the window

mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy, 1987). The channels are those of the
spectrograms of "Learning Spatio-Temporal Representations Using Spike-Based Backpropagation"
(2018, section 3.2.1); the window is shorter and ends now, so that it can be made live.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError

Samples = npt.NDArray[np.float32]
SILENCE_DB = -100.0


@dataclass(frozen=True)
class MelSettings:
    """How a sound is seen; the defaults are those of the audio-to-image model.

    Attributes:
        n_channels: mel bands.
        n_frames: frames in the picture, the newest last.
        hop_us: from one frame to the next, microseconds.
        window_us: what one frame sees, microseconds.
        lowest_hz: where the first band begins.
        highest_hz: where the last band ends; half the sampling rate if that is lower.
        range_db: what lies this far below the loudest is as silent.
        quietest_db: the loudest of a picture counts as at least this loud, dB of full scale.
    """

    n_channels: int = 39
    n_frames: int = 32
    hop_us: int = 20_000
    window_us: int = 25_000
    lowest_hz: float = 80.0
    highest_hz: float = 3_800.0
    range_db: float = 40.0
    quietest_db: float = -60.0

    def __post_init__(self) -> None:
        if min(self.n_channels, self.n_frames, self.hop_us, self.window_us) < 1:
            raise ConfigurationError(f"channels, frames and times must be at least 1; got {self}")
        if not 0.0 <= self.lowest_hz < self.highest_hz or not self.range_db > 0.0:
            raise ConfigurationError(
                f"lowest_hz must be below highest_hz and range_db above 0; got {self}"
            )


def mel_filters(settings: MelSettings, rate_hz: int, n_fft: int) -> npt.NDArray[np.float64]:
    """Triangles that overlap by half, each of sum 1, (n_channels, n_fft // 2 + 1)."""
    highest = min(settings.highest_hz, rate_hz / 2)
    if highest <= settings.lowest_hz:
        raise ConfigurationError(f"the sampling rate must reach the mel bands; got {rate_hz} Hz")
    ends = 2595.0 * np.log10(1.0 + np.array([settings.lowest_hz, highest]) / 700.0)
    mels = np.linspace(ends[0], ends[1], settings.n_channels + 2)
    corners = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins = np.arange(n_fft // 2 + 1) * rate_hz / n_fft
    rising = (bins - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - bins) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.clip(np.minimum(rising, falling), 0.0, None)
    for channel in np.flatnonzero(filters.sum(1) == 0.0):  # narrower than one bin
        filters[channel, np.argmin(np.abs(bins - corners[channel + 1]))] = 1.0
    return np.asarray(filters / filters.sum(1, keepdims=True))


class MelFrames:
    """Samples in, mel frames in dB of full scale out. Memory: one window and one hop of samples.

    Args:
        rate_hz: of the samples.
        settings: how the sound is seen.
    """

    def __init__(self, rate_hz: int, settings: MelSettings) -> None:
        if rate_hz < 1:
            raise ConfigurationError(f"a sampling rate must be at least 1 Hz; got {rate_hz}")
        self.rate_hz, self.settings = rate_hz, settings
        self.n_frames = 0  # given out
        self._n_window = max(2, round(settings.window_us * rate_hz / 1e6))
        n_fft = max(256, 1 << (self._n_window - 1).bit_length())
        self._n_fft = n_fft
        self._hann = np.hanning(self._n_window + 2)[1:-1]
        self._filters = mel_filters(settings, rate_hz, n_fft)
        self._samples: npt.NDArray[np.float64] = np.zeros(self._n_window)
        self._n_seen = 0  # samples pushed so far; the last of them ends ``_samples``

    def push(self, samples: npt.ArrayLike) -> Iterator[npt.NDArray[np.float32]]:
        """Take samples in [-1, 1]; give the frames that they complete, (n_channels,) each."""
        given = np.asarray(samples, dtype=np.float64)
        start = 0
        while True:
            end = self._end_of(self.n_frames) - self._n_seen
            if end > len(given) - start:
                break
            self._append(given[start : start + end])
            start += end
            self.n_frames += 1
            yield self._frame()
        self._append(given[start:])

    def _end_of(self, frame: int) -> int:
        """The sample that ends a frame; frames keep time at every sampling rate."""
        return round((frame + 1) * self.settings.hop_us * self.rate_hz / 1e6)

    def _append(self, samples: npt.NDArray[np.float64]) -> None:
        self._n_seen += len(samples)
        self._samples = np.concatenate((self._samples, samples))[-self._n_window :]

    def _frame(self) -> npt.NDArray[np.float32]:
        spectrum = np.fft.rfft(self._samples * self._hann, self._n_fft)
        power = np.square(np.abs(spectrum) * 2.0 / self._hann.sum())
        decibels = 10.0 * np.log10(self._filters @ power + 10.0 ** (SILENCE_DB / 10.0))
        return np.asarray(decibels, dtype=np.float32)


def picture(frames_db: npt.NDArray[np.float32], settings: MelSettings) -> Samples:
    """Brightness in [0, 1] of frames in dB, same shape."""
    top = max(float(frames_db.max()), settings.quietest_db)
    brightness = np.clip(1.0 + (frames_db - top) / settings.range_db, 0.0, 1.0)
    return np.asarray(brightness, dtype=np.float32)


class MelWindow:
    """The picture of the last ``n_frames`` frames. Memory: those frames.

    >>> window = MelWindow(MelSettings(n_channels=2, n_frames=3))
    >>> window.push(np.array([-20.0, -40.0], dtype=np.float32))
    >>> window.picture().tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 0.5]]
    """

    def __init__(self, settings: MelSettings) -> None:
        self.settings = settings
        shape = (settings.n_channels, settings.n_frames)
        self._frames = np.full(shape, SILENCE_DB, dtype=np.float32)

    def push(self, frame_db: npt.NDArray[np.float32]) -> None:
        """Take the newest frame, (n_channels,)."""
        self._frames[:, :-1] = self._frames[:, 1:]
        self._frames[:, -1] = frame_db

    def picture(self) -> Samples:
        """Low channels first, the newest frame last, (n_channels, n_frames) in [0, 1]."""
        return picture(self._frames, self.settings)
