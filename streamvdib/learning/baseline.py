"""Baselines of the ``score`` estimator: what is taken off the common learning signal l.

    mean            a slow running mean of l
    per-weight      E[g^2 l] / E[g^2] for each weight, g = d log p / dw: the baseline of least
                    variance (Williams, 1992, doi:10.1007/BF00992696); slow running means; one lane
    leave-one-out   the mean l of the other samples of the same example (Mnih and Rezende, 2016)

None of them changes the expected gradient (a running mean holds l of earlier updates only).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.learning.rule import Rule

Tensors = dict[str, Tensor]


class Baseline:
    """Memory: one number, or twice the encoder's weights ("per-weight")."""

    def __init__(self, rule: Rule) -> None:
        self.kind = rule.baseline
        self.n_samples = rule.n_samples
        self.rate = rule.baseline_rate
        self.state: Tensors = {}
        self._common: Tensor | None = None

    def centred(self, common: Tensor) -> Tensor:
        """The common signal of each lane with its baseline off, (n_lanes,).

        With "per-weight" this is 1, and ``finish`` weights the gradient of log p afterwards.
        """
        if self.kind == "none":
            return common
        if self.kind == "leave-one-out":
            groups = common.view(-1, self.n_samples)
            others = (groups.sum(1, keepdim=True) - groups) / (self.n_samples - 1)
            return (groups - others).flatten()
        if self.kind == "per-weight":
            if len(common) != 1:
                raise ConfigurationError(
                    f"a per-weight baseline requires one lane; got {len(common)}. "
                    "Use the baseline 'mean' or 'leave-one-out' for batches."
                )
            self._common = common
            return torch.ones_like(common)
        return common - self._running("baseline.mean", common.mean())

    def finish(self, gradients: Tensors) -> None:
        """Weight d log p / dw of encoder weights by l minus their baseline, in place."""
        if self._common is None:
            return
        signal, self._common = self._common[0], None
        for name, gradient in gradients.items():
            if not name.startswith("encoder."):
                continue
            square = gradient.square()
            for kind in ("gl", "g"):
                if f"baseline.{name}.{kind}" not in self.state:
                    self.state[f"baseline.{name}.{kind}"] = torch.zeros_like(gradient)
            weighted = self.state[f"baseline.{name}.gl"]
            total = self.state[f"baseline.{name}.g"]
            baseline = weighted / total.clamp_min(1e-12)
            gradient.mul_(torch.where(total > 0, signal - baseline, 0.0))
            product = square * signal
            is_known = product.isfinite()  # an update that will be refused leaves no trace
            weighted.lerp_(torch.where(is_known, product, weighted), self.rate)
            total.lerp_(torch.where(is_known, square, total), self.rate)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a saved state."""
        self.state = {name: tensor.clone() for name, tensor in state.items()}

    def _running(self, name: str, value: Tensor) -> Tensor:
        """The running mean before ``value``; the first value has itself as baseline."""
        count_name = f"{name}.count"
        if name not in self.state:
            self.state[name], self.state[count_name] = value.clone(), torch.zeros_like(value)
        before = self.state[name].clone()
        self.state[count_name] += 1
        rate = torch.clamp(1 / self.state[count_name], min=self.rate)
        is_known = value.isfinite()  # an update that will be refused leaves no trace
        self.state[name] = torch.where(is_known, before + rate * (value - before), before)
        return before
