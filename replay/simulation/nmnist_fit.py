"""Constants of the N-MNIST-like simulation, fitted to real recordings (docs/datasets.md).

The path is given every 5 ms: the sensor column and row of the left and top edge of the digit's
28 x 28 image. Its three legs are the triangle of Orchard et al., 2015.
"""

from .moving import Lens
from .pixel import PixelModel
from .saccades import Setup

LENS = Lens(scale=1.0074, blur=0.509, black=255.0, white=61.0)

PIXEL = PixelModel(
    threshold_on=0.1765,
    threshold_off=0.1738,
    threshold_mismatch=0.0200,
    refractory_us=996,
    leak_hz=0.377,
    shot_noise_hz=0.15,
    tau_us=1433,
    dark=144.6,
    linear_below=10.74,
)

# fmt: off
X = (
    0.33, 0.36, 0.36, 0.27, 0.25, 0.25, 0.19, 0.18, 0.20, 0.26, 0.38, 0.70,
    1.10, 1.44, 1.74, 1.94, 2.03, 2.09, 2.10, 2.10, 2.21, 2.32, 2.33, 2.42,
    2.57, 2.79, 3.03, 3.33, 3.64, 4.00, 4.26, 4.35, 4.54, 4.73, 4.86, 5.05,
    5.24, 5.36, 5.45, 5.53, 5.62, 5.71, 5.78, 5.83, 5.86, 5.90, 5.72, 5.23,
    4.65, 4.08, 3.68, 3.23, 2.57, 1.95, 1.53, 1.21, 0.89, 0.65, 0.46, 0.35,
    0.31, 0.30, 0.31,
)
Y = (
    1.10, 1.21, 1.38, 1.54, 1.70, 2.02, 2.45, 2.90, 3.47, 4.19, 4.80, 5.26,
    5.80, 6.16, 6.32, 6.39, 6.44, 6.44, 6.45, 6.39, 6.18, 6.24, 6.28, 6.33,
    6.29, 6.19, 6.00, 5.68, 5.17, 4.61, 4.02, 3.46, 2.80, 2.18, 1.74, 1.42,
    1.23, 1.17, 1.19, 1.20, 1.22, 1.27, 1.24, 1.23, 1.19, 1.14, 1.23, 1.28,
    1.27, 1.28, 1.27, 1.24, 1.18, 1.11, 1.08, 1.04, 1.00, 1.03, 1.02, 1.01,
    1.06, 1.10, 1.14,
)
# fmt: on

FITTED = Setup(LENS, PIXEL, X, Y)
