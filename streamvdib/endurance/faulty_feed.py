"""A live device from a seed: events in real time, and everything that devices do wrong."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from streamvdib.endurance.workload import SENSOR
from streamvdib.errors import LiveSourceError
from streamvdib.events import EventArray, SensorSize, as_events, empty_events
from streamvdib.sources.clock import Clock
from streamvdib.sources.feed import Batch

BATCH_US = 5_000
NORMAL_HZ = 20_000.0
STORM_HZ = 2_000_000.0
Numbers = npt.NDArray[np.int64]

# name of the episode -> how often it is chosen, and its shortest and longest length in seconds
EPISODES: dict[str, tuple[float, float, float]] = {
    "normal": (10.0, 1.0, 5.0),
    "storm": (1.0, 0.2, 1.0),
    "silence": (1.5, 0.3, 1.5),
    "hot_pixel": (1.0, 0.2, 1.0),
    "all_pixels": (1.0, 0.2, 0.5),
    "off_sensor": (1.0, 0.2, 0.5),
    "late": (1.0, 0.2, 0.5),
    "clock_reset": (0.5, 0.1, 0.1),
    "clock_jump": (0.5, 0.1, 0.1),
    "unplugged": (0.7, 0.1, 1.0),
}


class FaultyFeed:
    """A device whose faults follow from a seed. Memory: one batch.

    Args:
        seed: of the episodes and events.
        clock: real time, to which the device keeps.
    """

    name = "faulty device"
    time_bits = 64

    def __init__(self, seed: int, clock: Clock) -> None:
        self.counters: dict[str, int] = {}
        self.n_sent = 0
        self.n_episodes = dict.fromkeys(EPISODES, 0)
        self._chance = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._clock = clock
        self._sensor_us = 1_000_000  # the device's own clock
        self._until_us = 0
        self._episode = "normal"
        self._due_us = clock.now_us()

    @property
    def sensor_size(self) -> SensorSize:
        """See ``Feed``."""
        return SENSOR

    def open(self) -> None:
        """See ``Feed``: nothing answers while it is unplugged."""
        if self._episode == "unplugged" and self._clock.now_us() < self._until_us:
            raise LiveSourceError("the device is unplugged")

    def read(self, timeout_s: float) -> Batch | None:
        """See ``Feed``."""
        now_us = self._clock.now_us()
        if now_us >= self._until_us:
            self._choose(now_us)
        if self._episode == "unplugged":
            raise LiveSourceError("the device is unplugged")
        self._clock.sleep_us(self._due_us - now_us)
        self._due_us = max(self._due_us + BATCH_US, self._clock.now_us() - 10 * BATCH_US)
        events = self._events()
        self._sensor_us += BATCH_US
        self.n_sent += len(events)
        return Batch(events)

    def close(self) -> None:
        """See ``Feed``."""

    def _choose(self, now_us: int) -> None:
        """Begin the next episode."""
        names = list(EPISODES)
        self._episode = self._chance.choices(names, [EPISODES[n][0] for n in names])[0]
        _, shortest_s, longest_s = EPISODES[self._episode]
        self._until_us = now_us + round(1e6 * self._chance.uniform(shortest_s, longest_s))
        self.n_episodes[self._episode] += 1
        if self._episode == "clock_reset":
            self._sensor_us = self._chance.randrange(2_000_000)
        elif self._episode == "clock_jump":
            self._sensor_us += self._chance.choice([10_000_000, 3_600_000_000])

    def _events(self) -> EventArray:
        makers: dict[str, Callable[[], EventArray]] = {
            "storm": lambda: self._scattered(STORM_HZ),
            "silence": empty_events,
            "hot_pixel": self._hot_pixel,
            "all_pixels": self._all_pixels,
            "off_sensor": self._off_sensor,
            "late": self._late,
        }
        return makers.get(self._episode, lambda: self._scattered(NORMAL_HZ))()

    def _times(self, n_events: int) -> Numbers:
        return np.sort(self._numbers.integers(0, BATCH_US, n_events)) + self._sensor_us

    def _scattered(self, rate_hz: float, width: int = SENSOR.width) -> EventArray:
        n_events = int(self._numbers.poisson(rate_hz * BATCH_US / 1e6))
        return as_events(
            self._times(n_events),
            self._numbers.integers(0, width, n_events),
            self._numbers.integers(0, SENSOR.height, n_events),
            self._numbers.integers(0, 2, n_events),
        )

    def _hot_pixel(self) -> EventArray:
        """One pixel at 1 MHz."""
        events = empty_events(BATCH_US)
        events["t_us"] = np.arange(BATCH_US) + self._sensor_us
        events["x"], events["y"], events["on"] = 3, 3, True
        return events

    def _all_pixels(self) -> EventArray:
        """Every pixel at every millisecond."""
        n_pixels = SENSOR.width * SENSOR.height
        times = np.repeat(np.arange(0, BATCH_US, 1000), n_pixels) + self._sensor_us
        pixels = np.tile(np.arange(n_pixels), BATCH_US // 1000)
        return as_events(times, pixels % SENSOR.width, pixels // SENSOR.width, pixels % 2)

    def _off_sensor(self) -> EventArray:
        return self._scattered(NORMAL_HZ, width=60_000)

    def _late(self) -> EventArray:
        events = self._scattered(NORMAL_HZ)
        events["t_us"][::7] -= self._chance.randrange(200_000)
        return events
