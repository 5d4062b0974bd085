"""How a recording is to be read: what every format module is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamvdib.errors import ConfigurationError
from streamvdib.events import SensorSize

DEFAULT_PACKET_US = 10_000
DEFAULT_MAX_GAP_US = 3_600_000_000


@dataclass(frozen=True)
class ReadOptions:
    """How to read a recording, whatever its format.

    Args:
        sensor_size: overrules the size that the recording states or that is inferred.
        lenient: repair and count what otherwise is an error.
        packet_us: how much of the sensor's time one packet covers at most, microseconds.
        max_gap_us: a jump forward by more than this is an error, microseconds.
        format_options: options of one format only, such as ``columns`` of text.
    """

    sensor_size: SensorSize | None = None
    lenient: bool = False
    packet_us: int = DEFAULT_PACKET_US
    max_gap_us: int = DEFAULT_MAX_GAP_US
    format_options: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.packet_us < 1:
            raise ConfigurationError(f"packet_us must be at least 1; got {self.packet_us}")
        if self.max_gap_us < 1:
            raise ConfigurationError(f"max_gap_us must be at least 1; got {self.max_gap_us}")

    def only(self, *names: str) -> None:
        """Refuse format options other than ``names``."""
        unknown = sorted(set(self.format_options) - set(names))
        if unknown:
            allowed = ", ".join(names) or "none"
            raise ConfigurationError(
                f"options of this format must be among: {allowed}; got {', '.join(unknown)}"
            )
