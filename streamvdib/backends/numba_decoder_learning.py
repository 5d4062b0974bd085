"""Gradient descent of a linear or MLP decoder, as compiled loops over what is active.

    a = b_2 + W_2 relu(h)    h = b_1 + sum of the rows of W_1 for every spike in the window
    e = dl/da                d_j = [h_j > 0] sum_p W_2,jp e_p
    W_2 -= eta relu(h) (x) e          row r of W_1 -= eta n_r d, n_r its spikes in the window

Both changes are of rank one, so their norms need no sum over weights, and only the rows of positive
hidden units and of spikes are touched. Weights lie with one row per input (``window_layer``).
"""

from __future__ import annotations

import math

import numpy as np

from streamvdib.backends.compilation import ZERO, Bytes, Floats, Size, compiled, part, unsigned
from streamvdib.backends.numba_draws import logistic
from streamvdib.backends.numba_sums import dot, prefetch_row

BERNOULLI, GAUSSIAN, CATEGORICAL = range(3)
PRODUCTS = unsigned(512)  # factors of at least 1/2: their product is no smaller than 2^-512
AHEAD = unsigned(2)  # rows that are on their way into the cache while one is read


@compiled
def output_error(
    kind: int, deviation: float, parameters: Floats, target: Floats, error: Floats
) -> float:
    """-log q(target) in nats, and its derivative by every parameter (module ``likelihoods``).

    Args:
        kind: BERNOULLI, GAUSSIAN or CATEGORICAL.
        deviation: of a Gaussian.
        parameters: a, (n_outputs,).
        target: r, (n_outputs,).
        error: the result dl/da, (n_outputs,).
    """
    n, loss = unsigned(len(parameters)), 0.0
    if kind == BERNOULLI:
        loss = _bernoulli(parameters, target, error)
    elif kind == GAUSSIAN:
        scale = 1 / deviation
        for i in range(n):
            error[i] = (parameters[i] - target[i]) * scale
            loss += error[i] * error[i] / 2
            error[i] *= scale
        loss += n * math.log(deviation * math.sqrt(2 * math.pi))
    else:
        loss = _categorical(parameters, target, error)
    return loss


@part
def _bernoulli(parameters: Floats, target: Floats, error: Floats) -> float:
    """softplus(a) = max(a, 0) - log max(p, 1 - p); the logarithms are those of products."""
    n, loss = unsigned(len(parameters)), 0.0
    for i in range(n):
        error[i] = logistic(parameters[i])
    for low in range(ZERO, n, PRODUCTS):
        product = 1.0
        for i in range(low, min(low + PRODUCTS, n)):
            product *= max(error[i], 1 - error[i])
        loss -= math.log(product)
    for i in range(n):
        a = parameters[i]
        loss += max(a, 0) - target[i] * a
        error[i] -= target[i]
    return loss


@part
def _categorical(parameters: Floats, target: Floats, error: Floats) -> float:
    n, largest, total, mass, loss = unsigned(len(parameters)), parameters[0], 0.0, 0.0, 0.0
    for i in range(n):
        largest = max(largest, parameters[i])
        mass += target[i]
    for i in range(n):
        error[i] = math.exp(parameters[i] - largest)
        total += error[i]
    for i in range(n):
        loss += target[i] * (largest + math.log(total) - parameters[i])
        error[i] = mass * error[i] / total - target[i]
    return loss


@compiled
def hidden_error(hidden: Floats, weights: Floats, error: Floats, delta: Floats) -> None:
    """Write dl/dh of every hidden unit, 0 where it is not positive.

    Args:
        hidden: h, (n_hidden,).
        weights: W_2, row after row, (n_hidden * n_outputs,).
        error: e, (n_outputs,).
        delta: the result d, (n_hidden,).
    """
    n_outputs = unsigned(len(error))
    for unit in range(unsigned(len(hidden))):
        delta[unit] = 0
        if hidden[unit] > 0:
            prefetch_row(weights, (unit + AHEAD) * n_outputs, n_outputs)
            delta[unit] = dot(weights, unit * n_outputs, error, ZERO, n_outputs)


@compiled
def change_second(
    hidden: Floats, error: Floats, rate: float, weights: Floats, bias: Floats
) -> None:
    """One step down the gradient of the second layer; shapes as in ``hidden_error``."""
    width = unsigned(len(error))
    for unit in range(unsigned(len(hidden))):
        if hidden[unit] > 0:
            scale = weights.dtype.type(-rate * hidden[unit])
            for i in range(width):
                weights[unit, i] += scale * error[i]
    _add(bias, error, bias.dtype.type(-rate))


@compiled
def change_first(
    ring: Bytes, oldest: int, is_rate: bool, delta: Floats, rate: float, weights: Floats,
    bias: Floats,
) -> None:  # fmt: skip
    """One step down the gradient of the first layer; arguments as in ``decode_window``.

    Args:
        ring: spikes of one lane, (tau_d, n_neurons).
        oldest: the row that holds the oldest step.
        is_rate: whether weights are per neuron, for the sum over time, and not per step.
        delta: dl/dh, (n_hidden,).
        rate: of learning.
        weights: (tau_d * n_neurons or n_neurons, n_hidden).
        bias: (n_hidden,).
    """
    tau_d, n_neurons, width = unsigned(ring.shape[0]), unsigned(ring.shape[1]), unsigned(len(delta))
    if is_rate:
        for neuron in range(n_neurons):
            n_spikes = _count(ring, neuron)
            if n_spikes > 0:
                _add(weights[neuron], delta, weights.dtype.type(-rate * n_spikes))
    else:
        flat, scale = weights.reshape(-1), weights.dtype.type(-rate)
        rows = np.empty(n_neurons, np.uint64)
        for age in range(tau_d):
            row, n = (unsigned(oldest) + age) % tau_d, ZERO
            for neuron in range(n_neurons):
                rows[n] = (age * n_neurons + neuron) * width
                n += unsigned(ring[row, neuron] > 0)
            for k in range(n):
                prefetch_row(flat, rows[k], width)
            for k in range(n):
                place = rows[k]
                for i in range(width):
                    flat[place + i] += scale * delta[i]
    _add(bias, delta, bias.dtype.type(-rate))


@part
def _count(ring: Bytes, neuron: Size) -> int:
    """Spikes of a neuron in the window."""
    n_spikes = 0
    for row in range(unsigned(ring.shape[0])):
        n_spikes += ring[row, neuron]
    return n_spikes


@part
def _add(target: Floats, values: Floats, scale: float) -> None:
    for i in range(unsigned(len(values))):
        target[i] += scale * values[i]


@compiled
def squared_norm(ring: Bytes, is_rate: bool, hidden: Floats, delta: Floats, error: Floats) -> float:
    """Of the gradient of both layers; ``hidden`` and ``error`` are empty for a single layer."""
    inputs, units, signal, errors = 1.0, 1.0, 0.0, 0.0  # 1: of the bias
    if is_rate:
        for neuron in range(unsigned(ring.shape[1])):
            n_spikes = _count(ring, neuron)
            inputs += n_spikes * n_spikes
    else:
        n_spikes = 0
        for row in range(unsigned(ring.shape[0])):
            for neuron in range(unsigned(ring.shape[1])):
                n_spikes += ring[row, neuron]
        inputs += n_spikes
    for unit in range(unsigned(len(hidden))):
        units += max(hidden[unit], 0) ** 2
    for unit in range(unsigned(len(delta))):
        signal += delta[unit] * delta[unit]
    for i in range(unsigned(len(error))):
        errors += error[i] * error[i]
    return inputs * signal + units * errors
