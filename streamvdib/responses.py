"""Spike responses and feedback responses: what one spike does to a potential, and for how long.

    (alpha * z)_t = sum_{d=0}^{tau_e - 1} alpha_d z_{t-d}          zero beyond tau_e, exactly

Skatchkovsky et al., 2021, eq. 15 and the definition of the tau_e-causal conditioning (eq. 1):
the window x_{t-tau_e}^t holds tau_e samples, the newest included. A response may be a bank of K
basis functions with one weight each (Pillow et al., 2008, doi:10.1038/nature07140).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamvdib.errors import ConfigurationError


@dataclass(frozen=True)
class Response:
    """A finite response, or a bank of K of them.

    ``exponentials`` lists pairs (coefficient c, decay a) with ``kernel_d = sum c a^d`` where
    that identity holds for the one kernel, so that a backend may run a recursion instead of a
    sum over tau_e steps.
    """

    kernels: tuple[tuple[float, ...], ...]  # alpha, (n_basis, tau_e)
    exponentials: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(kernel) for kernel in self.kernels}
        if len(lengths) != 1 or 0 in lengths:
            raise ConfigurationError(
                "a response requires one or more kernels of one length of at least 1 step; "
                f"got lengths {sorted(lengths)}"
            )
        if not all(math.isfinite(value) for kernel in self.kernels for value in kernel):
            raise ConfigurationError("a response requires finite values; got nan or inf")
        if self.exponentials and len(self.kernels) != 1:
            raise ConfigurationError(
                f"exponentials describe one kernel; got {len(self.kernels)} kernels"
            )

    @property
    def n_basis(self) -> int:
        """K, the number of basis functions and of weights per synapse."""
        return len(self.kernels)

    @property
    def tau_e(self) -> int:
        """Memory in steps: a spike this old no longer counts."""
        return len(self.kernels[0])


def exponential(decay: float, tau_e: int) -> Response:
    """``alpha_d = decay^d`` for d < tau_e.

    >>> exponential(0.5, 3).kernels
    ((1.0, 0.5, 0.25),)
    """
    return exponential_sum([(1.0, decay)], tau_e)


def exponential_sum(terms: Sequence[tuple[float, float]], tau_e: int) -> Response:
    """``alpha_d = sum_m c_m a_m^d`` for d < tau_e.

    Args:
        terms: pairs (c_m, a_m) with 0 <= a_m <= 1.
        tau_e: memory, steps, at least 1.
    """
    _check_tau_e(tau_e)
    for _, decay in terms:
        _check_decay(decay)
    kernel = tuple(sum(c * a**lag for c, a in terms) for lag in range(tau_e))
    return Response((kernel,), tuple((float(c), float(a)) for c, a in terms))


def cascaded_exponentials(membrane_decay: float, synapse_decay: float, tau_e: int) -> Response:
    """A synapse that filters into a membrane that filters.

        Q_t = b Q_{t-1} + z_t / (1 - b)      P_t = a P_{t-1} + Q_{t-1} / (1 - a)
        alpha_d = (a^d - b^d) / ((a - b) (1 - a) (1 - b))

    Args:
        membrane_decay: a, in [0, 1).
        synapse_decay: b, in [0, 1), other than a.
        tau_e: memory, steps.
    """
    a, b = membrane_decay, synapse_decay
    if not (0 <= a < 1 and 0 <= b < 1) or a == b:
        raise ConfigurationError(
            f"cascaded exponentials require two different decays in [0, 1); got {a} and {b}"
        )
    scale = 1.0 / ((a - b) * (1 - a) * (1 - b))
    return exponential_sum([(scale, a), (-scale, b)], tau_e)


def raised_cosines(n_basis: int, tau_e: int) -> Response:
    """K bumps on a logarithmic time axis: narrow near the spike, wide far from it.

        x_d = log(d + tau_e / 10)
        alpha_{k,d} = (1 + cos(clip(pi (x_d - c_k) / (2 D), -pi, pi))) / 2

    with centres c_k evenly spaced by D over the range of x (Pillow et al., 2008). A single
    function falls from 1 to 1/2 over tau_e.
    """
    _check_tau_e(tau_e)
    if n_basis < 1 or tau_e < 2:
        raise ConfigurationError(
            "raised cosines require at least 1 function and 2 steps; "
            f"got {n_basis} functions over {tau_e} steps"
        )
    axis = np.log(np.arange(tau_e) + tau_e / 10.0)
    spacing = (axis[-1] - axis[0]) / max(n_basis - 1, 1)
    centres = axis[0] + spacing * np.arange(n_basis)
    phase = np.clip((axis[None] - centres[:, None]) * (np.pi / (2 * spacing)), -np.pi, np.pi)
    return Response(tuple(tuple(float(v) for v in row) for row in (1 + np.cos(phase)) / 2))


def finite(kernels: Sequence[Sequence[float]]) -> Response:
    """Any response given as numbers, (n_basis, tau_e)."""
    return Response(tuple(tuple(float(value) for value in kernel) for kernel in kernels))


def _check_tau_e(tau_e: int) -> None:
    if tau_e < 1:
        raise ConfigurationError(f"tau_e must be at least 1 step; got {tau_e}")


def _check_decay(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ConfigurationError(f"a decay per step must lie in [0, 1]; got {decay}")
