"""Postsynaptic currents of a convolution: every active input adds its kernel where it reaches.

The order of a sum is that of the list of active inputs, so a current does not depend on how events
were cut. Places in flat arrays are unsigned: numba would check signed ones for counting from the
end.
"""

from __future__ import annotations

import numpy as np

from streamvdib.backends.compilation import ONE, Floats, Integers, Keys, Size, part, unsigned

# Geometry of a convolution: the last columns of a layer's plan (see ``numba_plan``).
CHANNELS, HEIGHT, WIDTH, CHANNELS_LAST, KERNEL, STRIDE, MARGIN, OUT_HEIGHT, OUT_WIDTH = range(9)


@part
def scatter_kernels(
    weights: Floats,
    first_kernel: Size,
    n_basis: Size,
    n_padded: Size,
    channels: Size,
    geometry: Keys,
    indices: Integers,
    start: int,
    end: int,
    memory: Floats,
    current: Size,
) -> None:
    """Convolutions: every active input adds its kernel to the neurons that it reaches.

    Args:
        weights: holds (input channels, kernel, kernel, n_basis, output channels) numbers.
        first_kernel: where they begin.
        n_basis: K.
        n_padded: numbers of one basis function's current.
        channels: of the output; neurons are in the order (y, x, channel).
        geometry: the numbers named above, uint64.
        indices: active inputs, ascending, in the order that ``geometry`` says.
        start: first entry of the list.
        end: one past its last entry.
        memory: takes the result.
        current: where the result begins, n_basis * n_padded numbers.
    """
    for i in range(n_basis * n_padded):
        memory[current + i] = 0
    kernel, stride = np.int64(geometry[KERNEL]), np.int64(geometry[STRIDE])
    width, margin = np.int64(geometry[WIDTH]), np.int64(geometry[MARGIN])
    out_height, out_width = np.int64(geometry[OUT_HEIGHT]), np.int64(geometry[OUT_WIDTH])
    n_channels, pixels = np.int64(geometry[CHANNELS]), np.int64(geometry[HEIGHT]) * width
    for k in range(start, end):
        if geometry[CHANNELS_LAST] == ONE:
            channel, pixel = indices[k] % n_channels, indices[k] // n_channels
        else:
            channel, pixel = indices[k] // pixels, indices[k] % pixels
        bottom, right = pixel // width + margin, pixel % width + margin
        for cell in range(kernel * kernel):
            down, across = bottom - cell // kernel, right - cell % kernel
            y, x = down // stride, across // stride
            if down < 0 or across < 0 or y * stride != down or x * stride != across:
                continue
            if y >= out_height or x >= out_width:
                continue
            source = first_kernel + (
                unsigned(channel * kernel * kernel + cell) * n_basis * channels
            )
            target = current + unsigned(y * out_width + x) * channels
            for basis in range(n_basis):
                row, place = source + basis * channels, target + basis * n_padded
                for i in range(channels):
                    memory[place + i] += weights[row + i]
