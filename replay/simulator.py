"""Simulated event cameras: what a program calls; the parts are in ``simulation/``.

* ``EventCamera(size).push(t_us, image)``: any sequence of images, endless if need be.
* ``simulate_nmnist(image, seed)``, ``simulate_mnist_dvs(image, seed)``: one recording of a digit.
* ``simulate_binned(images, seeds)``: many N-MNIST-like recordings, as bits per time step.
"""

from __future__ import annotations

from .simulation.camera import EventCamera, simulate_frames
from .simulation.handwriting import draw_digit
from .simulation.mnist_dvs import DVS128_SIZE, MNIST_DVS_CROP, simulate_mnist_dvs
from .simulation.moving import Lens, Motion
from .simulation.nmnist import (
    NMNIST_SIZE,
    NO_VARIATION,
    Variation,
    simulate_binned,
    simulate_nmnist,
)
from .simulation.packed import PackedSteps, empty_steps, pack_events
from .simulation.pixel import PixelModel

__all__ = [
    "DVS128_SIZE",
    "MNIST_DVS_CROP",
    "NMNIST_SIZE",
    "NO_VARIATION",
    "EventCamera",
    "Lens",
    "Motion",
    "PackedSteps",
    "PixelModel",
    "Variation",
    "draw_digit",
    "empty_steps",
    "pack_events",
    "simulate_binned",
    "simulate_frames",
    "simulate_mnist_dvs",
    "simulate_nmnist",
]
