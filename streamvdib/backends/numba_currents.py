"""Postsynaptic currents from lists of active inputs: the cost follows the spikes.

    I = sum of the weight rows of the active inputs, one after the other in ascending order

The order of a sum is that of the list, so a current does not depend on how events were cut.
"""

from __future__ import annotations

from streamvdib.backends.compilation import Floats, Integers, part

# Geometry of a convolution, one row of int64 per layer (see ``numba_plan``).
CHANNELS, HEIGHT, WIDTH, CHANNELS_LAST, KERNEL, STRIDE, MARGIN, OUT_HEIGHT, OUT_WIDTH = range(9)


@part
def sum_rows(weights: Floats, indices: Integers, start: int, end: int, current: Floats) -> None:
    """Dense layers: the sum of rows ``indices[start:end]`` of the weights.

    Args:
        weights: (n_inputs, width).
        indices: active inputs, ascending.
        start: first entry of the list.
        end: one past its last entry.
        current: the result, (width,).
    """
    width = current.shape[0]
    for i in range(width):
        current[i] = 0
    k = start
    while k + 8 <= end:
        a, b = weights[indices[k]], weights[indices[k + 1]]
        c, d = weights[indices[k + 2]], weights[indices[k + 3]]
        e, f = weights[indices[k + 4]], weights[indices[k + 5]]
        g, h = weights[indices[k + 6]], weights[indices[k + 7]]
        for i in range(width):
            first = (((current[i] + a[i]) + b[i]) + c[i]) + d[i]
            current[i] = (((first + e[i]) + f[i]) + g[i]) + h[i]
        k += 8
    if k + 4 <= end:
        a, b = weights[indices[k]], weights[indices[k + 1]]
        c, d = weights[indices[k + 2]], weights[indices[k + 3]]
        for i in range(width):
            current[i] = (((current[i] + a[i]) + b[i]) + c[i]) + d[i]
        k += 4
    while k < end:
        a = weights[indices[k]]
        for i in range(width):
            current[i] += a[i]
        k += 1


@part
def scatter_kernels(
    weights: Floats,
    indices: Integers,
    start: int,
    end: int,
    geometry: Integers,
    currents: Floats,
) -> None:
    """Convolutions: every active input adds its kernel to the neurons that it reaches.

    Args:
        weights: (input channels * kernel * kernel, n_basis, output channels).
        indices: active inputs, ascending, in the order that ``geometry`` says.
        start: first entry of the list.
        end: one past its last entry.
        geometry: the numbers named above.
        currents: added to, (n_basis, at least positions * output channels), channels last.
    """
    kernel, stride, width = geometry[KERNEL], geometry[STRIDE], geometry[WIDTH]
    pixels = geometry[HEIGHT] * width
    for k in range(start, end):
        index = indices[k]
        if geometry[CHANNELS_LAST] == 1:
            channel, pixel = index % geometry[CHANNELS], index // geometry[CHANNELS]
        else:
            channel, pixel = index // pixels, index % pixels
        bottom = pixel // width + geometry[MARGIN]
        right = pixel % width + geometry[MARGIN]
        for row in range(kernel):
            y = (bottom - row) // stride
            if (bottom - row) % stride != 0 or y < 0 or y >= geometry[OUT_HEIGHT]:
                continue
            for column in range(kernel):
                x = (right - column) // stride
                if (right - column) % stride != 0 or x < 0 or x >= geometry[OUT_WIDTH]:
                    continue
                _add_kernel(
                    weights[(channel * kernel + row) * kernel + column],
                    y * geometry[OUT_WIDTH] + x,
                    currents,
                )


@part
def _add_kernel(weights: Floats, position: int, currents: Floats) -> None:
    n_basis, channels = weights.shape
    for basis in range(n_basis):
        row = weights[basis]
        target = currents[basis, position * channels : (position + 1) * channels]
        for channel in range(channels):
            target[channel] += row[channel]
