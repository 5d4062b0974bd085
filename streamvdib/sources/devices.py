"""One adapter for everything that hands over events by a library call: cameras, dv's network.

A driver hides a library. Whether the device is real or faked makes no difference here, which is
how unplugging is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from streamvdib.errors import LiveSourceError
from streamvdib.events import SensorSize, empty_events
from streamvdib.sources.clock import Clock, SystemClock
from streamvdib.sources.feed import Batch

POLL_US = 500


class Driver(Protocol):
    """An open device."""

    name: str
    sensor_size: SensorSize
    lost: int  # gaps, packets or overflows that the library reported so far

    def poll(self) -> Batch | None:
        """What has come since the last call, at once; None if nothing has.

        Raises:
            LiveSourceError: the device has gone.
        """

    def close(self) -> None:
        """Let go of the device."""


class DeviceFeed:
    """Opens a device, polls it, and opens it anew after it was gone.

    Memory: what one poll gives.
    """

    time_bits = 64

    def __init__(
        self, name: str, open_driver: Callable[[], Driver], *, clock: Clock | None = None
    ) -> None:
        """A device that is not opened yet.

        Args:
            name: for messages until the driver tells its own.
            open_driver: finds and opens the device; ``LiveSourceError`` if it is not there.
            clock: is slept on between polls.
        """
        self.name = name
        self.counters = {"lost_in_device": 0}
        self._open_driver = open_driver
        self._clock = clock or SystemClock()
        self._driver: Driver | None = None
        self._size: SensorSize | None = None
        self._lost_before = 0

    @property
    def sensor_size(self) -> SensorSize:
        """As the device told when it was first opened."""
        if self._size is None:
            raise LiveSourceError(f"{self.name}: must be opened before its size is known")
        return self._size

    def open(self) -> None:
        """Find and open the device."""
        driver = self._open_driver()
        if self._size is not None and driver.sensor_size != self._size:
            driver.close()
            raise LiveSourceError(
                f"{self.name}: the device that comes back must have the sensor of the one that "
                f"went, {self._size}; got {driver.sensor_size}. Plug in the same camera."
            )
        self._driver, self._size, self.name = driver, driver.sensor_size, driver.name

    def read(self, timeout_s: float) -> Batch:
        """What the device gives, polled until something comes."""
        if self._driver is None:
            raise LiveSourceError(f"{self.name}: a device must be opened before it is read")
        give_up_us = self._clock.now_us() + int(timeout_s * 1e6)
        while True:
            batch = self._driver.poll()
            self.counters["lost_in_device"] = self._lost_before + self._driver.lost
            if batch is not None:
                return batch
            if self._clock.now_us() >= give_up_us:
                return Batch(empty_events())
            self._clock.sleep_us(POLL_US)

    def close(self) -> None:
        """Let go of the device."""
        driver, self._driver = self._driver, None
        if driver is not None:
            self._lost_before = self.counters["lost_in_device"]
            driver.close()
