"""Constants of the N-MNIST-like simulation, fitted to real recordings (docs/datasets.md).

The path is given every 5 ms: the sensor column and row of the left and top edge of the digit's
28 x 28 image. Its three legs are the triangle of Orchard et al., 2015.
"""

from .moving import Lens
from .pixel import PixelModel

STEP_US = 2000.0  # between two positions of the simulated path

LENS = Lens(scale=1.0062, blur=0.509, black=255.0, white=40.3)

PIXEL = PixelModel(
    threshold_on=0.1765,
    threshold_off=0.2208,
    threshold_mismatch=0.0200,
    refractory_us=909,
    leak_hz=0.0,
    shot_noise_hz=0.50,
    tau_us=1301,
    dark=23.1,
    linear_below=6.98,
)

# fmt: off
KNOTS_X = (
    0.19, 0.17, 0.16, 0.16, 0.16, 0.17, 0.20, 0.22, 0.24, 0.28, 0.35, 0.62,
    1.00, 1.36, 1.64, 1.79, 1.89, 1.95, 2.00, 2.04, 2.09, 2.15, 2.22, 2.40,
    2.62, 2.81, 3.03, 3.33, 3.67, 4.05, 4.37, 4.54, 4.64, 4.68, 4.72, 4.89,
    5.10, 5.21, 5.31, 5.39, 5.48, 5.57, 5.65, 5.72, 5.77, 5.80, 5.59, 5.18,
    4.65, 4.05, 3.58, 3.12, 2.58, 2.05, 1.53, 1.10, 0.81, 0.60, 0.44, 0.35,
    0.32, 0.30, 0.30,
)
KNOTS_Y = (
    1.18, 1.29, 1.45, 1.63, 1.84, 2.08, 2.41, 2.87, 3.45, 4.22, 4.97, 5.51,
    5.92, 6.20, 6.37, 6.44, 6.48, 6.46, 6.42, 6.38, 6.37, 6.38, 6.40, 6.36,
    6.28, 6.16, 5.97, 5.63, 5.17, 4.64, 4.05, 3.40, 2.79, 2.31, 1.90, 1.50,
    1.28, 1.26, 1.25, 1.25, 1.25, 1.25, 1.26, 1.28, 1.30, 1.32, 1.33, 1.35,
    1.40, 1.44, 1.36, 1.25, 1.20, 1.18, 1.18, 1.18, 1.19, 1.19, 1.17, 1.15,
    1.17, 1.21, 1.28,
)
# fmt: on
