"""Constants of the N-MNIST-like simulation, fitted to real recordings (docs/datasets.md).

The path is given every 5 ms: the sensor column and row of the left and top edge of the digit's
28 x 28 image. Its three legs are the triangle of Orchard et al., 2015.
"""

from .moving import Lens
from .pixel import PixelModel

STEP_US = 2000.0  # between two positions of the simulated path

LENS = Lens(scale=1.0056, blur=0.509, black=255.0, white=50.3)

PIXEL = PixelModel(
    threshold_on=0.1871,
    threshold_off=0.2314,
    threshold_mismatch=0.0200,
    refractory_us=586,
    leak_hz=0.377,
    shot_noise_hz=0.15,
    tau_us=1379,
    dark=95.9,
    linear_below=10.92,
)

# fmt: off
KNOTS_X = (
    0.30, 0.32, 0.31, 0.22, 0.19, 0.22, 0.17, 0.20, 0.23, 0.27, 0.36, 0.64,
    1.02, 1.36, 1.66, 1.86, 1.96, 2.02, 2.02, 2.02, 2.14, 2.27, 2.30, 2.40,
    2.58, 2.82, 3.06, 3.38, 3.69, 4.04, 4.27, 4.32, 4.47, 4.63, 4.76, 4.95,
    5.15, 5.28, 5.38, 5.47, 5.57, 5.67, 5.74, 5.80, 5.84, 5.89, 5.72, 5.24,
    4.66, 4.09, 3.66, 3.17, 2.55, 1.96, 1.54, 1.22, 0.90, 0.65, 0.47, 0.35,
    0.31, 0.30, 0.31,
)
KNOTS_Y = (
    1.23, 1.36, 1.53, 1.67, 1.79, 2.08, 2.46, 2.93, 3.50, 4.22, 4.86, 5.36,
    5.89, 6.24, 6.40, 6.46, 6.51, 6.51, 6.53, 6.46, 6.23, 6.24, 6.24, 6.26,
    6.21, 6.12, 5.94, 5.63, 5.13, 4.58, 4.00, 3.45, 2.81, 2.20, 1.78, 1.47,
    1.28, 1.22, 1.24, 1.28, 1.31, 1.37, 1.35, 1.34, 1.30, 1.24, 1.32, 1.37,
    1.35, 1.37, 1.37, 1.32, 1.27, 1.22, 1.19, 1.15, 1.10, 1.11, 1.10, 1.09,
    1.10, 1.12, 1.17,
)
# fmt: on
