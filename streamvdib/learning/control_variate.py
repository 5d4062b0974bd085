"""A linear control variate for the ``score`` estimator, from other samples of the same example.

    l^_s  = mean over r != s of  l_r + g_r . (y_s - p_s) - g_r . (y_r - p_r)      g_r = dl_r / dy_r
    delta_s = (l_s - l^_s) (y_s - p_s) + (mean over r != s of g_r) p_s (1 - p_s)

p = sigma(u), sums over neurons and steps. l^_s is the loss of sample s as the other samples
foresee it to first order. Given those, y - p is a martingale difference, so the gradient that l^_s
takes off, E[(g . (y - p)) grad log p] = g p (1 - p) grad u, is known exactly and put back: the
estimate stays unbiased, and only what is of second order in y is left to chance (as MuProp, Gu et
al., 2016, arXiv:1511.05176, with another sample in place of the mean field).
"""

from __future__ import annotations

from torch import Tensor


def linear_delta(
    common: Tensor, by_spike: Tensor, error: Tensor, probability: Tensor, n_samples: int
) -> Tensor:
    """The readout's delta, (n_steps, n_lanes, n_neurons).

    Args:
        common: l of each lane, (n_lanes,); ``n_samples`` lanes in a row show one example.
        by_spike: g, the derivative of each lane's l by its spikes.
        error: y - sigma(u).
        probability: sigma(u).
        n_samples: at least 2.
    """
    foreseen = common - (by_spike * error).sum((0, 2))  # l_r - g_r . (y_r - p_r)
    others = _mean_of_others(by_spike, n_samples, 1)
    centred = common - _mean_of_others(foreseen, n_samples, 0) - (others * error).sum((0, 2))
    return centred[None, :, None] * error + others * probability * (1 - probability)


def _mean_of_others(values: Tensor, n_samples: int, lanes: int) -> Tensor:
    """For each lane the mean over the other lanes of its example; ``lanes`` is their dimension."""
    shape = values.shape
    groups = values.reshape(*shape[:lanes], -1, n_samples, *shape[lanes + 1 :])
    total = groups.sum(lanes + 1, keepdim=True)
    return ((total - groups) / (n_samples - 1)).reshape(shape)
