"""Addresses of live sources: ``scheme://host:port/path?option=value&...``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from streamvdib.errors import ConfigurationError
from streamvdib.events import SensorSize
from streamvdib.sources.live import LiveOptions

Value = TypeVar("Value", int, float, str)


class Address:
    """A live address whose options are taken one by one; what is left over is refused."""

    def __init__(self, uri: str, more: Mapping[str, object] | None = None) -> None:
        """Split ``uri``; ``more`` are options given beside it, which overrule those inside."""
        self.uri = uri
        parts = urlsplit(uri)
        self.host = parts.hostname or ""
        self.path = parts.path
        try:
            self._port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{uri}: the port must be 0 to 65535; {error}") from error
        self._options: dict[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._options |= {name: str(value) for name, value in (more or {}).items()}
        self._taken: list[str] = []

    @property
    def port(self) -> int:
        """The port.

        Raises:
            ConfigurationError: there is none in the address.
        """
        if self._port is None:
            raise ConfigurationError(f"{self.uri}: an address must name a port, as in HOST:3333")
        return self._port

    def take(self, name: str, meaning: Callable[[str], Value], default: Value) -> Value:
        """One option; ``default`` if it is not there."""
        self._taken.append(name)
        text = self._options.pop(name, None)
        if text is None:
            return default
        try:
            return meaning(text)
        except ValueError as error:
            raise ConfigurationError(
                f"{self.uri}: {name} must be {meaning.__name__}; got {text!r}"
            ) from error

    def take_sensor_size(self, given: SensorSize | None) -> SensorSize | None:
        """The size given beside the address, or by its options ``width`` and ``height``."""
        width, height = self.take("width", int, 0), self.take("height", int, 0)
        if given is not None:
            return given
        if width > 0 and height > 0:
            return SensorSize(width, height)
        if width or height:
            raise ConfigurationError(
                f"{self.uri}: width and height must both be positive; got {width} and {height}"
            )
        return None

    def need_sensor_size(self, given: SensorSize | None, why: str) -> SensorSize:
        """As ``take_sensor_size``, for a stream that does not tell its size."""
        size = self.take_sensor_size(given)
        if size is None:
            raise ConfigurationError(
                f"{self.uri}: the sensor's size must be given, because {why}. "
                "Add width=346&height=260 to the address, or use --sensor-size."
            )
        return size

    def take_live_options(self, packet_us: int, defaults: LiveOptions) -> LiveOptions:
        """The options that every live source understands."""
        watermark = self.take("watermark", str, f"{defaults.clock_rate}")
        try:
            clock_rate = 0.0 if watermark == "off" else float(watermark)
        except ValueError as error:
            raise ConfigurationError(
                f"{self.uri}: watermark must be 'off' or the speed of the sensor's clock "
                f"(1 for a camera); got {watermark!r}"
            ) from error
        return dataclasses.replace(
            defaults,
            packet_us=packet_us,
            clock_rate=clock_rate,
            capacity=self.take("queue", int, defaults.capacity),
            silence_us=int(1000 * self.take("silence_ms", float, defaults.silence_us / 1000)),
            max_gap_us=self.take("max_gap_us", int, defaults.max_gap_us),
            connect_us=int(1e6 * self.take("connect_s", float, defaults.connect_us / 1e6)),
        )

    def finish(self) -> None:
        """Refuse options that nothing has taken."""
        if self._options:
            raise ConfigurationError(
                f"{self.uri}: options must be among {', '.join(sorted(self._taken))}; "
                f"got {', '.join(sorted(self._options))}"
            )
