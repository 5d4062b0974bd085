"""How like the true image a frame is: mean squared error and structural similarity.

    SSIM = (2 m_x m_y + c1)(2 s_xy + c2) / ((m_x^2 + m_y^2 + c1)(s_x^2 + s_y^2 + c2))

with local means m and (co)variances s under a Gaussian window of 11 pixels, deviation 1.5,
c1 = 0.01^2, c2 = 0.03^2 for pixels from 0 to 1, mean over the places where the window fits
(Wang, Bovik, Sheikh and Simoncelli, 2004, doi:10.1109/TIP.2003.819861).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 11
DEVIATION = 1.5
C_MEAN, C_VARIANCE = 0.01**2, 0.03**2


def mean_squared_error(frames: Tensor, images: Tensor) -> Tensor:
    """Per image, (n,), of pixels from 0 to 1, (n, height, width)."""
    return (frames - images).square().flatten(1).mean(1)


def structural_similarity(frames: Tensor, images: Tensor) -> Tensor:
    """SSIM per image, (n,), of pixels from 0 to 1, (n, height, width) of at least 11 x 11."""
    offsets = torch.arange(WINDOW, dtype=frames.dtype) - WINDOW // 2
    line = torch.exp(-offsets.square() / (2 * DEVIATION**2))
    window = torch.outer(line, line) / line.sum() ** 2

    def local_mean(values: Tensor) -> Tensor:
        return functional.conv2d(values[:, None], window[None, None])[:, 0]

    x, y = local_mean(frames), local_mean(images)
    variance_x = local_mean(frames * frames) - x * x
    variance_y = local_mean(images * images) - y * y
    covariance = local_mean(frames * images) - x * y
    means = (2 * x * y + C_MEAN) / (x * x + y * y + C_MEAN)
    variances = (2 * covariance + C_VARIANCE) / (variance_x + variance_y + C_VARIANCE)
    return (means * variances).flatten(1).mean(1)
