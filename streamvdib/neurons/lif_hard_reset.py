"""Leaky integrate-and-fire neuron that goes back to zero when it spikes.

    V_t = (1 - alpha) V_{t-1} (1 - A_{t-1}) + Z_t        (eq 1; the reset clears what is kept)
    A_t = 1 if V_t >= V_th else 0                        (eq 2)
    dA/dV ~ k s (1 - s),  s = sigmoid(k (V_t - V_th))    (eq 3, 4 with k = 1)

"Learning Spatio-Temporal Representations Using Spike-Based Backpropagation", 2018. The state keeps
V_t - V_th as the threshold saw it, before the reset: the loss of eq 7 is taken on that potential.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.errors import ConfigurationError
from streamvdib.neurons.neuron import NeuronParameters
from streamvdib.responses import Response, finite

AT_ONCE = finite([[1.0]])  # the current acts in its own step; the leak is the neuron's


@dataclass(frozen=True)
class LIFHardResetState:
    """What a layer remembers from one step to the next. Memory: 2 * n_lanes * n_neurons."""

    spikes: Tensor  # A, (n_lanes, n_neurons), 0 or 1
    membrane_potential: Tensor  # V - V_th before the reset, (n_lanes, n_neurons)


@dataclass(frozen=True)
class LIFHardReset:
    """Constants of a layer of LIF neurons with hard reset, for the ``Neuron`` protocol.

    The feedback weights are not used: the reset is the feedback.

    Attributes:
        leak: alpha, the part of the potential lost per step, in [0, 1); 0 is an IF neuron.
        threshold: V_th, above 0.
        derivative_slope: k, slope of the sigmoid that stands in for the threshold.
    """

    leak: float = 0.1
    threshold: float = 1.0
    derivative_slope: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.leak < 1.0:
            raise ConfigurationError(
                f"the leak must lie in [0, 1); got {self.leak}. Use 0 for a neuron without leak."
            )
        for name in ("threshold", "derivative_slope"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} must be above 0; got {getattr(self, name)}")

    @property
    def response(self) -> Response:
        """The current acts in its own step."""
        return AT_ONCE

    @property
    def stochastic(self) -> bool:
        """The threshold is fixed."""
        return False

    @property
    def decay(self) -> float:
        """1 - alpha, the part of the potential kept per step."""
        return 1.0 - self.leak

    def constants(self, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, ...]:
        """None: the leak and the threshold are numbers."""
        return ()

    def initial_state(
        self, n_lanes: int, n_neurons: int, *, dtype: torch.dtype, device: torch.device
    ) -> LIFHardResetState:
        """At rest: V = 0, no spike."""
        rest = torch.zeros(n_lanes, n_neurons, dtype=dtype, device=device)
        return LIFHardResetState(rest, rest - self.threshold)

    def step(
        self,
        current: Tensor,
        parameters: NeuronParameters,
        state: LIFHardResetState,
        draws: Tensor | None = None,
    ) -> LIFHardResetState:
        """One step (eq 1, 2); see ``Neuron.step`` for shapes."""
        potential = state.membrane_potential + self.threshold
        kept = potential * (self.decay * (1.0 - state.spikes))
        above = kept + current[:, 0] + (parameters.bias - self.threshold)
        return LIFHardResetState((above >= 0).to(above.dtype), above)

    def spike_derivative(self, membrane_potential: Tensor) -> Tensor:
        """dA/dV of the sigmoid (eq 4) at the potential relative to the threshold."""
        smooth = torch.sigmoid(self.derivative_slope * membrane_potential)
        return self.derivative_slope * smooth * (1.0 - smooth)
