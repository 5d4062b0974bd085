"""Updates of e-prop's rule: how much the newest steps are credited with, and whether at all.

    l_t   = decoder loss + beta log(p / q) since the last update, less its running mean
    c_s  -= eta l_t         s: the newest step and the n_credited - 1 before it    (eq. 12 to 14)

An update changes coefficients of factors (module ``numba_factors``) and, at once, the parameters
that are one number for each neuron.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.backends.compilation import Size, part, unsigned
from streamvdib.backends.numba_factors import Factors, add_to_parameters
from streamvdib.backends.numba_neurons import Network

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# What the rule goes by and what it remembers: places in ``numbers`` and ``counts``.
(
    LOSS,  # nats, of the last decoding
    BETA,
    LEARNING_RATE,
    LARGEST_NORM,  # of a gradient, 0: never clipped
    MEAN,  # running, of the common signal
    MEAN_RATE,
    DECODER_SQUARE,  # squared norm of the decoder's gradient, for the next update only
    PRIOR_COST,  # sum of softplus of the prior's logits
    INFORMATION,  # nats, mean of the steps that the last update was about
    NORM,  # of the last gradient, before clipping
    SCALE,  # what clipping has left of it
) = range(11)
N_NUMBERS = 11
(
    N_SEEN,  # steps since the start; the number of the next factor
    N_WRITTEN,  # factors that are in the weights
    N_UPDATES,
    N_MEAN,  # values in the running mean
    WAITS,  # whether the newest step's update is still to come
    HAS_LOSS,
    HAS_BASELINE,
    DIVERGED,
    WARM_UP,
    N_CREDITED,
    N_BLOCK,  # K
    N_NEW,  # steps since the last update
    EVERY_STEP,  # 1: an update after each step, 0: only when asked
    HOLDS,  # 1: weights are written only when asked
) = range(14)
N_COUNTS = 14
LARGEST_GRADIENT = 1e6


@part
def make_update(
    network: Network, factors: Factors, products: Numbers, costs: Numbers, numbers: Numbers,
    counts: Counts,
) -> None:  # fmt: skip
    """Credit the last steps with the common signal of the newest one."""
    if counts[WAITS] == 0:
        return
    counts[WAITS] = 0
    seen = counts[N_SEEN]
    if counts[HAS_LOSS] == 0 or counts[DIVERGED] or seen <= counts[WARM_UP]:
        return
    first, last = unsigned(max(seen - counts[N_CREDITED], 0)), unsigned(seen)
    signal = _centred(costs, numbers, counts)
    _clip(products, numbers, signal, first, last)
    change = -numbers[LEARNING_RATE] * signal * numbers[SCALE]
    if not (math.isfinite(change) and numbers[NORM] <= LARGEST_GRADIENT):
        counts[DIVERGED] = 1
        return
    counts[N_UPDATES] += 1
    n_slots = unsigned(len(factors.coefficients))
    for s in range(first, last):
        factors.coefficients[s % n_slots] += change
    if change != 0:
        for layer in range(len(network.plan)):
            row, ring = network.plan[layer], factors.rings[layer]
            add_to_parameters(network, row, ring, factors, first, last, change)


@part
def _centred(costs: Numbers, numbers: Numbers, counts: Counts) -> Any:
    """The common signal less its running mean of earlier updates; the first has itself as mean."""
    n_new, total = min(counts[N_NEW], counts[N_SEEN], len(costs)), 0.0
    for step in range(counts[N_SEEN] - n_new, counts[N_SEEN]):
        total += costs[unsigned(step) % unsigned(len(costs))]
    counts[N_NEW] = 0
    numbers[INFORMATION] = total / max(n_new, 1)
    common = numbers[LOSS] + numbers[BETA] * total
    if counts[HAS_BASELINE] == 0:
        return common
    before = numbers[MEAN] if counts[N_MEAN] else common
    counts[N_MEAN] += 1
    rate = max(1.0 / counts[N_MEAN], numbers[MEAN_RATE])
    numbers[MEAN] = before + rate * (common - before)
    return common - before


@part
def _clip(products: Numbers, numbers: Numbers, signal: float, first: Size, last: Size) -> None:
    """Norm of the whole gradient, from the products of its factors, and what clipping leaves."""
    numbers[NORM], numbers[SCALE] = 0, 1
    if numbers[LARGEST_NORM] > 0:
        n_slots, square = unsigned(len(products)), 0.0
        for s in range(first, last):
            row, begin = s % n_slots, first % n_slots
            for t in range(begin, min(begin + (last - first), n_slots)):
                square += products[row, t]
            for t in range(max(begin + (last - first), n_slots) - n_slots):
                square += products[row, t]
        square = signal * signal * max(square, 0.0) + numbers[DECODER_SQUARE]
        numbers[NORM] = math.sqrt(square)
        numbers[SCALE] = min(1.0, numbers[LARGEST_NORM] / (numbers[NORM] + 1e-12))
    numbers[DECODER_SQUARE] = 0
