"""A training run of a spiking autoencoder as a file, so that one that was stopped goes on.

Holds what changes: weights, traces and moments of the rule, the generator of the spikes, and the
curve. Everything else follows from the settings, which the file names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from streamvdib.learning.membrane_potential import MembranePotentialRule

Curve = list[tuple[int, float, float]]  # (batch, MSE, Spike-MSE) while training


class Progress:
    """How far a run has come.

    Args:
        path: the file; written at once or not at all.
        run: all that the run follows from; a file of another run counts as none.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        self._run = json.dumps(dict(run), sort_keys=True)

    def save(
        self,
        rule: MembranePotentialRule,
        generator: torch.Generator,
        curve: Sequence[tuple[int, float, float]],
        seconds: float,
    ) -> None:
        """Replace what was written before; ``seconds`` are those of training so far."""
        tensors = {f"rule.{name}": value.contiguous() for name, value in rule.tensors().items()}
        tensors["generator"] = generator.get_state()
        tensors["curve"] = torch.tensor(curve, dtype=torch.float64)
        tensors["seconds"] = torch.tensor(seconds, dtype=torch.float64)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        save_file(tensors, part, {"run": self._run})
        part.replace(self.path)

    def load(self, rule: MembranePotentialRule, generator: torch.Generator) -> tuple[Curve, float]:
        """Bring rule and generator to where the run was.

        Returns:
            Its curve, empty where none was, and its seconds.
        """
        if not self.path.is_file():
            return [], 0.0
        with safe_open(self.path, "pt") as file:
            if (file.metadata() or {}).get("run") != self._run:
                return [], 0.0
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rule.load_tensors({name.removeprefix("rule."): value for name, value in tensors.items()})
        generator.set_state(tensors["generator"])
        curve = [(int(n), mse, spike) for n, mse, spike in tensors["curve"].tolist()]
        return curve, float(tensors["seconds"])
