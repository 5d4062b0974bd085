"""The leaky trace dV/dW of eq 10 and 16, without ever writing it out.

    tr_ij(t) = (1-alpha) tr_ij(t-1) [neuron i did not spike at t-1] + x_j(t)

The trace is dense per lane (n_outputs x n_inputs), but only two things happen to it: all of it
decays by the same factor, and the row of a neuron that spiked is cleared. So with the plain leaky
trace xbar_j(t) = (1-alpha) xbar_j(t-1) + x_j(t) and r_i < t the last reset of neuron i,

    tr_ij(t) = xbar_j(t) - (1-alpha)^(t-r_i) xbar_j(r_i)                  (exact)

and the gradient of a batch, sum_l f_li tr_lij(t), is one matrix product f' xbar(t) less one
scaled row of the history of xbar per neuron that has been reset and has an error. Resets more than
``horizon`` steps ago are left out: their factor (1-alpha)^horizon is below ``tolerance``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.learning.membrane_kernels import subtract_before_reset

NEVER = -1  # the age of a reset that has not been, or is too long ago to matter


def reset_horizon(leak: float, n_steps: int | None = None, tolerance: float = 1e-7) -> int:
    """How many steps of history the trace needs.

    Args:
        leak: alpha of the neuron.
        n_steps: the length of a sequence, when it ends; None for a stream.
        tolerance: what (1-alpha)^horizon may be, relative to a trace of one.

    Raises:
        ConfigurationError: a neuron without leak remembers for ever, so a stream has no horizon.
    """
    if leak == 0.0:
        if n_steps is None:
            raise ConfigurationError(
                "the trace of a neuron without leak needs the length of the sequence; got a "
                "stream. Give n_steps, or a leak above 0."
            )
        return n_steps
    by_decay = math.ceil(math.log(tolerance) / math.log(1.0 - leak)) + 1
    return by_decay if n_steps is None else min(by_decay, n_steps)


class ResetTrace:
    """The traces of one layer's weights, in every lane.

    Each step: ``push`` the inputs, ask for any ``gradient``, then ``clear`` where it spiked.
    Memory: n_lanes * (horizon * n_inputs + n_outputs), whatever the length of the stream.
    """

    def __init__(
        self,
        n_lanes: int,
        n_inputs: int,
        n_outputs: int,
        *,
        leak: float,
        horizon: int,
        device: torch.device | str | None = None,
    ) -> None:
        self._decay = 1.0 - leak
        self._horizon = horizon
        self._ring = torch.zeros(n_lanes, horizon, n_inputs, device=device)
        self._age = torch.full((n_lanes, n_outputs), NEVER, dtype=torch.int32, device=device)
        powers = self._decay ** np.arange(horizon)
        self._powers = torch.tensor(powers, dtype=torch.float32, device=device)
        self._slot = 0

    def begin(self) -> None:
        """Forget everything: a new sequence starts in every lane."""
        self._ring[:, self._slot].zero_()
        self._age.fill_(NEVER)

    def push(self, inputs: Tensor) -> None:
        """Take in x(t), (n_lanes, n_inputs), at the start of step t."""
        before = self._ring[:, self._slot]
        self._slot = (self._slot + 1) % self._horizon
        torch.add(inputs, before, alpha=self._decay, out=self._ring[:, self._slot])
        self._age += self._age != NEVER
        self._age[self._age >= self._horizon] = NEVER

    def gradient(self, factor: Tensor) -> Tensor:
        """sum_l factor_li tr_lij(t), (n_outputs, n_inputs).

        Args:
            factor: dL/dV(t), (n_lanes, n_outputs).
        """
        total = factor.t() @ self._ring[:, self._slot]
        if factor.device.type == "cpu":
            subtract_before_reset(
                total.numpy(),
                factor.contiguous().numpy(),
                self._age.numpy(),
                self._powers.numpy(),
                self._ring.numpy(),
                self._slot,
            )
            return total
        return total - self._before_reset(factor)

    def clear(self, spikes: Tensor) -> None:
        """Clear the trace of the neurons that spiked at t, (n_lanes, n_outputs)."""
        self._age.masked_fill_(spikes > 0, 0)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        return {"ring": self._ring, "age": self._age, "slot": torch.tensor(self._slot)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave."""
        self._ring.copy_(tensors["ring"])
        self._age.copy_(tensors["age"])
        self._slot = int(tensors["slot"])

    def _before_reset(self, factor: Tensor) -> Tensor:
        """The same as the compiled loop, one matrix product per distinct age."""
        total = torch.zeros(
            factor.shape[1], self._ring.shape[2], dtype=factor.dtype, device=factor.device
        )
        for age in torch.unique(self._age[self._age != NEVER]).tolist():
            scaled = factor * (self._age == age) * self._powers[age]
            total += scaled.t() @ self._ring[:, (self._slot - age) % self._horizon]
        return total
