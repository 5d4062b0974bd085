"""How N-MNIST was recorded: the lens, the pixels, and the path of three saccades."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streamvdib.errors import ConfigurationError

from .moving import Lens, Motion
from .pixel import PixelModel

DURATION_US = 310_000
STEP_US = 2000.0  # between two positions of the simulated path
KNOT_US = 5000.0  # between two stated positions


@dataclass(frozen=True)
class Setup:
    """One way of recording. The path is stated every 5 ms, from 0 to ``DURATION_US``."""

    lens: Lens
    pixel: PixelModel
    x: tuple[float, ...]  # sensor column of the left edge of the digit's image
    y: tuple[float, ...]  # sensor row of its top edge

    def __post_init__(self) -> None:
        n_knots = round(DURATION_US / KNOT_US) + 1
        if not len(self.x) == len(self.y) == n_knots:
            raise ConfigurationError(
                f"a path must have {n_knots} columns and rows; got {len(self.x)}, {len(self.y)}"
            )

    def path(self, shift_x: float = 0.0, shift_y: float = 0.0, delay_us: float = 0.0) -> Motion:
        """The saccades, moved by some pixels and begun later."""
        times = np.arange(0, DURATION_US + 1, STEP_US, dtype=np.float64)
        knots = np.arange(len(self.x)) * KNOT_US
        x = np.interp(times - delay_us, knots, np.asarray(self.x))
        y = np.interp(times - delay_us, knots, np.asarray(self.y))
        return Motion(times, x + shift_x, y + shift_y)

    def with_thresholds(self, factor: float) -> PixelModel:
        """The pixels, both mean thresholds multiplied by ``factor``."""
        return replace(
            self.pixel,
            threshold_on=self.pixel.threshold_on * factor,
            threshold_off=self.pixel.threshold_off * factor,
        )
