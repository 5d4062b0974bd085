"""Learning on the membrane potential while an engine runs.

Either the readout learns to give the encoder's input back (an autoencoder), from every step; or
it learns the spikes that the engine's ``Targets`` give, from the step that each is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import LayerWeights, Weights
from streamvdib.engine import Target
from streamvdib.errors import ConfigurationError, TargetError
from streamvdib.learning.membrane_potential import (
    MembranePotentialRule,
    MembranePotentialSettings,
)
from streamvdib.model import Model
from streamvdib.neurons.lif_hard_reset import LIFHardResetState
from streamvdib.spike_window import SpikeWindow


class MembranePotentialLearner:
    """A ``Learner`` for the engine. Memory: that of the rule, and one step of every layer.

    Args:
        model: the engine's; its decoder is left alone.
        n_lanes: ``Engine.n_lanes``.
        reconstructs: whether the target spikes are the input's own; else those of ``Targets``.
        update_every: steps between updates; the paper's rule is 1.
        settings: constants of the rule. A stream has no batches, so moments are kept for ever.
    """

    def __init__(
        self,
        model: Model,
        *,
        n_lanes: int = 1,
        reconstructs: bool = False,
        update_every: int = 1,
        settings: MembranePotentialSettings | None = None,
    ) -> None:
        encoder = model.encoder
        if reconstructs and encoder.n_inputs != encoder.n_outputs:
            raise ConfigurationError(
                "an autoencoder requires as many readout neurons as inputs; got "
                f"{encoder.n_outputs} for {encoder.n_inputs}. Give targets instead."
            )
        if update_every < 1:
            raise ConfigurationError(f"update_every must be at least 1 step; got {update_every}")
        self.update_every, self.is_paused = update_every, False
        self.n_steps = 0  # of target spikes learned from
        self._reconstructs = reconstructs
        self._rule = MembranePotentialRule(
            encoder,
            model.weights,
            n_lanes=n_lanes,
            settings=settings or MembranePotentialSettings(forgets_moments=False),
        )
        self._summed: list[Tensor] = []  # gradients since the last update
        self._n_summed = 0
        self._last: list[LIFHardResetState] = []  # of every layer; its spikes still clear traces

    @property
    def paused(self) -> bool:
        """Whether it only looks on."""
        return self.is_paused

    def pause(self) -> None:
        """Stop changing weights; the traces of before are forgotten on resuming."""
        self.is_paused = True

    def resume(self) -> None:
        """Learn again, from the next steps on."""
        self.is_paused = False
        self._forget_steps()

    def watch(self, trace: EncoderTrace) -> None:
        """See ``Learner``."""
        inputs = torch.from_numpy(trace.inputs.dense().astype(np.float32))
        for step, spikes in enumerate(inputs):
            self._finish_step()
            self._last = [
                LIFHardResetState(
                    torch.from_numpy(np.ascontiguousarray(layer[step], dtype=np.float32)),
                    torch.from_numpy(np.ascontiguousarray(potential[step], dtype=np.float32)),
                )
                for layer, potential in zip(trace.spikes, trace.potentials, strict=True)
            ]
            self._rule.watch_step(spikes, self._last)
            if self._reconstructs:
                self._add(self._rule.gradients(self._last, spikes))

    def learn(
        self,
        window: SpikeWindow,
        target: Target | None,
        end_us: int,
    ) -> Weights | None:
        """See ``Learner``; ``target`` are spikes, 0 or 1, of the last step."""
        if not self._reconstructs and target is not None and self._last:
            self._add(self._rule.gradients(self._last, self._target_spikes(target, end_us)))
        if self._n_summed == 0:
            return None
        self._rule.adam.step([summed / self._n_summed for summed in self._summed])
        self.n_steps += self._n_summed
        self._summed, self._n_summed = [], 0
        return tuple(
            LayerWeights(layer.synapses.contiguous(), layer.feedback, layer.bias)
            for layer in self._rule.weights
        )

    def restart(self) -> None:
        """See ``Learner``."""
        self._forget_steps()

    def tensors(self) -> dict[str, Tensor]:
        """See ``Learner``; between updates only, when no gradient is summed."""
        named = self._rule.tensors() | {"n_steps_learned": torch.tensor(self.n_steps)}
        for index, layer in enumerate(self._pending()):
            named |= {
                f"last.{index}.spikes": layer.spikes,
                f"last.{index}.membrane_potential": layer.membrane_potential,
            }
        for index, gradient in enumerate(self._summed or self._no_gradients()):
            named[f"summed.{index}"] = gradient
        return named | {"n_summed": torch.tensor(self._n_summed)}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Learner``."""
        self._rule.load_tensors(tensors)
        self.n_steps = int(tensors["n_steps_learned"])
        self._last = [
            LIFHardResetState(
                tensors[f"last.{index}.spikes"].clone(),
                tensors[f"last.{index}.membrane_potential"].clone(),
            )
            for index in range(len(self._rule.neurons))
        ]
        self._n_summed = int(tensors["n_summed"])
        if self._n_summed:
            self._summed = [
                tensors[f"summed.{index}"].clone() for index in range(len(self._no_gradients()))
            ]

    def _forget_steps(self) -> None:
        self._last, self._summed, self._n_summed = [], [], 0
        self._rule.begin()

    def _finish_step(self) -> None:
        """Clear the traces of the neurons that spiked at the step before."""
        if self._last:
            self._rule.clear(self._last)

    def _add(self, gradients: Sequence[Tensor]) -> None:
        if self._n_summed == 0:
            self._summed = list(gradients)
        else:
            for summed, gradient in zip(self._summed, gradients, strict=True):
                summed += gradient
        self._n_summed += 1

    def _target_spikes(self, target: Target, end_us: int) -> Tensor:
        """Targets as spikes, (n_lanes, n_outputs)."""
        spikes = torch.from_numpy(np.array(target, dtype=np.float32)).flatten(1)
        if not bool(((spikes == 0) | (spikes == 1)).all()):
            raise TargetError(
                f"target spikes must be 0 or 1; got others at {end_us} us. Draw spikes from rates."
            )
        return spikes

    def _pending(self) -> list[LIFHardResetState]:
        """The last step, or one in which nothing spiked."""
        if self._last:
            return self._last
        state = self._rule.encoder.initial_state(self._rule.n_lanes)
        return [LIFHardResetState(s.spikes, s.membrane_potential) for s in state.layers]

    def _no_gradients(self) -> list[Tensor]:
        learning = self._rule.weights[self._rule.n_fixed :]
        return [torch.zeros_like(layer.synapses[0].t()) for layer in learning]
