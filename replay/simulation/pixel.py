"""The pixel of an event camera: it reports that its log intensity has changed by a threshold.

    u(I)   = ln(I)  for I > I_lin;   I / I_lin + ln(I_lin) - 1  below     (linear near black)
    dv/dt  = (u - v) / tau(I),  tau(I) = tau * I_white / (I + I_dark)   (photoreceptor)
    d(t)   = v(t) - v(t_release) + leak * (t - t_release)
    ON at  d = +theta_on,  OFF at  d = -theta_off,   t_release = t_event + refractory

Between two samples v is taken as a straight line, so events fall where that line crosses the
threshold, to the microsecond. After an event the pixel is held in reset for the refractory
time; the change of that time is lost, and at its end the pixel memorises the level anew. Both
thresholds of a pixel are drawn once (mismatch). The leak of the reset switch makes ON events
in a still scene. Shot noise makes events of either sign at random, more of them in the dark.

Pixel: Lichtsteiner, Posch and Delbruck, 2008 (doi:10.1109/JSSC.2007.914337). Straight lines
between samples: ESIM, Rebecq, Gehrig and Scaramuzza, 2018 (CoRL). Linear part, bandwidth that
follows intensity, mismatch, leak and shot noise: v2e, Hu, Liu and Delbruck, 2021
(doi:10.1109/CVPRW53098.2021.00144).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from streamvdib.errors import ConfigurationError

from .randomness import exponential, normal, uniform

Float = npt.NDArray[np.float64]
NEVER_US = 1e300
PHASE_STREAM = 1 << 39
THRESHOLD_STREAM = 1 << 40  # streams of draws; noise draws use the pixel's own index
LEAST_THRESHOLD = 0.01  # v2e's floor: a smaller one would fire without end


@dataclass(frozen=True)
class PixelModel:
    """Constants of one kind of pixel. Intensities are those of the images given, 0 to white."""

    threshold_on: float = 0.2  # theta_on, change of log intensity
    threshold_off: float = 0.2  # theta_off
    threshold_mismatch: float = 0.03  # standard deviation of both between pixels
    refractory_us: float = 500.0  # time in reset after an event
    leak_hz: float = 0.1  # ON events per second of a pixel in a still scene
    shot_noise_hz: float = 0.5  # noise events per second of a black pixel, both signs together
    tau_us: float = 0.0  # time constant of the photoreceptor at white; 0: no low-pass
    linear_below: float = 20.0  # I_lin
    white: float = 255.0  # I_white
    dark: float = 20.0  # I_dark: keeps the bandwidth above zero
    white_noise_share: float = 0.25  # shot noise of a white pixel, relative to a black one

    def __post_init__(self) -> None:
        positive = ("threshold_on", "threshold_off", "linear_below", "white")
        for name in positive:
            _require(getattr(self, name) > 0, name, "be positive", getattr(self, name))
        at_least_zero = (
            "threshold_mismatch", "refractory_us", "leak_hz", "shot_noise_hz", "tau_us", "dark",
        )  # fmt: skip
        for name in at_least_zero:
            _require(getattr(self, name) >= 0, name, "not be negative", getattr(self, name))

    def level(self, intensity: npt.ArrayLike) -> Float:
        """u, the log intensity, linear below ``linear_below``; any shape."""
        values = np.asarray(intensity, np.float64)
        logarithm = np.log(np.maximum(values, self.linear_below))
        line = values / self.linear_below + math.log(self.linear_below) - 1.0
        return np.where(values > self.linear_below, logarithm, line)

    def gain(self, intensity: npt.ArrayLike, dt_us: float) -> Float:
        """How much of the way to u the photoreceptor goes in ``dt_us``; any shape, 0 to 1."""
        values = np.asarray(intensity, np.float64)
        if self.tau_us == 0:
            return np.ones_like(values)
        return 1.0 - np.exp(-dt_us / self.tau_us * (values + self.dark) / (self.white + self.dark))

    @property
    def constants(self) -> tuple[float, float, float, float, float]:
        """What the compiled loop needs: refractory, leak rate and noise per microsecond."""
        leak = self.leak_hz * 1e-6 * self.threshold_on
        noise = self.shot_noise_hz * 1e-6
        bright = math.log(self.white)
        return (self.refractory_us, leak, noise, bright, self.white_noise_share)


def _require(holds: bool, name: str, what: str, came: float) -> None:
    if not holds:
        raise ConfigurationError(f"{name} of a pixel must {what}; got {came}")


@njit(cache=True, nogil=True)
def draw_thresholds(seed: int, mean: float, spread: float, stream: int, out: Float) -> None:
    """Fill ``out`` (n_pixels,) with the thresholds of one polarity (stream 0 ON, 1 OFF)."""
    for pixel in range(out.size):
        draw = normal(np.uint64(seed), THRESHOLD_STREAM + stream, pixel)
        out[pixel] = max(mean + spread * draw, LEAST_THRESHOLD)


@njit(cache=True, nogil=True, inline="always")
def _run(
    start: float, end: float, change: float, released: float, rise: float,
    theta_on: float, theta_off: float, refractory: float,
    pixel: int, times: Float, where: npt.NDArray[np.int64], n_events: int,
) -> tuple[float, float, int]:  # fmt: skip
    """One pixel along a straight line from ``start`` to ``end``; returns change, released, n."""
    now = start
    while True:
        if released > now:
            if released >= end:
                return 0.0, released, n_events
            now, change = released, 0.0
        if rise > 0.0:
            wait = (theta_on - change) / rise
        elif rise < 0.0:
            wait = (theta_off + change) / -rise
        else:
            return change, released, n_events
        if now + wait > end or n_events == times.size:
            return change + rise * (end - now), released, n_events
        now += max(wait, 0.0)
        times[n_events] = now
        where[n_events] = 2 * pixel + (1 if rise > 0.0 else 0)
        n_events += 1
        released, change = now + refractory, 0.0


@njit(cache=True, nogil=True)
def advance_pixel(
    start: float, end: float, before: float, after: float,
    pixel: int, seed: int, constants: tuple[float, float, float, float, float],
    theta_on: float, theta_off: float, state: Float,
    times: Float, where: npt.NDArray[np.int64], n_events: int,
) -> int:  # fmt: skip
    """Advance one pixel while its level goes from ``before`` to ``after``.

    Args:
        start: time of the first level, microseconds.
        end: time of the second.
        before: v at ``start``.
        after: v at ``end``.
        pixel: index of the pixel.
        seed: of the recording.
        constants: ``PixelModel.constants``.
        theta_on: this pixel's ON threshold.
        theta_off: this pixel's OFF threshold.
        state: (4,): change since release, time of release, time of next noise, noise draws.
        times: event times, microseconds, (capacity,); filled from ``n_events`` on.
        where: 2 * pixel + polarity of each event, (capacity,).
        n_events: events so far.

    Returns:
        Events afterwards; ``times.size`` when there was no more room.
    """
    refractory, leak, noise, bright, white_share = constants
    rise = (after - before) / (end - start) + leak
    change, released = state[0], state[1]
    now = start
    while state[2] < end:  # a noise event splits the line
        at = state[2]
        change, released, n_events = _run(
            now, at, change, released, rise, theta_on, theta_off, refractory,
            pixel, times, where, n_events,
        )  # fmt: skip
        draw = int(state[3])
        level = before + (after - before) * (at - start) / (end - start)
        share = 1.0 - (1.0 - white_share) * min(math.exp(level - bright), 1.0)
        accepted = uniform(np.uint64(seed), pixel, draw + 1) < share
        if accepted and released <= at and n_events < times.size:
            on = uniform(np.uint64(seed), pixel, draw + 2) < 0.5
            times[n_events] = at
            where[n_events] = 2 * pixel + (1 if on else 0)
            n_events += 1
            change, released = 0.0, at + refractory
        state[2] = at + exponential(np.uint64(seed), pixel, draw + 3) / noise
        state[3] = draw + 3
        now = at
    change, released, n_events = _run(
        now, end, change, released, rise, theta_on, theta_off, refractory,
        pixel, times, where, n_events,
    )  # fmt: skip
    state[0], state[1] = change, released
    return n_events


@njit(cache=True, nogil=True)
def reset_pixels(
    seed: int,
    start: float,
    constants: tuple[float, float, float, float, float],
    theta_on: Float,
    states: Float,
) -> None:
    """States (n_pixels, 4) at ``start`` of pixels that have long looked at a still scene.

    With a leak such a pixel is anywhere between two leak events, so its change since release
    is uniform in [0, theta_on); without, it is zero.
    """
    _, leak, noise, _, _ = constants
    for pixel in range(states.shape[0]):
        states[pixel, 0] = 0.0
        if leak > 0.0:
            states[pixel, 0] = theta_on[pixel] * uniform(np.uint64(seed), PHASE_STREAM, pixel)
        states[pixel, 1] = start
        states[pixel, 2] = NEVER_US
        states[pixel, 3] = 0.0
        if noise > 0.0:
            states[pixel, 2] = start + exponential(np.uint64(seed), pixel, 0) / noise
