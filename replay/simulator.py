"""Simulated event cameras: what a program calls; the parts are in ``simulation/``.

One recording of a digit: ``events = simulate_nmnist(image, seed)``. Many at once, as bits per
time step: ``steps = simulate_binned(images, seeds)``.
"""

from __future__ import annotations

from .simulation.moving import Lens, Motion
from .simulation.nmnist import (
    NMNIST_SIZE,
    NO_VARIATION,
    Variation,
    simulate_binned,
    simulate_nmnist,
)
from .simulation.packed import PackedSteps, pack_events
from .simulation.pixel import PixelModel

__all__ = [
    "NMNIST_SIZE",
    "NO_VARIATION",
    "Lens",
    "Motion",
    "PackedSteps",
    "PixelModel",
    "Variation",
    "pack_events",
    "simulate_binned",
    "simulate_nmnist",
]
