"""Learning while a stream runs: watches the engine, and updates every few steps.

The mathematics is that of ``gradients``, over the steps that ``Records`` holds: with one lane,
updates at the end of a sequence and the stream restarted between sequences, it is the offline
learner with batch 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from streamvdib.backends import EncoderTrace
from streamvdib.encoder import LayerWeights, Weights
from streamvdib.errors import CheckpointError, ConfigurationError, LearningError
from streamvdib.learning.gradients import Span
from streamvdib.learning.learner_state import LearnerState, Outcome, Settings
from streamvdib.learning.records import Records
from streamvdib.learning.running_rates import RunningRates
from streamvdib.learning.sequence import srm_of
from streamvdib.learning.target_gate import check_target
from streamvdib.model import Model
from streamvdib.spike_window import SpikeWindow

Target = npt.NDArray[np.float32]


class OnlineLearner(RunningRates):
    """The ``Learner`` of a streaming engine.

    Memory: ``LearnerState`` and ``Records`` of tau_d (or ``update_every``) steps, or what
    the prior looks back to, and the layers' tau_e; nothing grows with the stream.

    Args:
        model: the engine's own; its decoder changes in place.
        settings: rule, optimisers, rates.
        n_lanes: lanes of the engine.
        update_every: steps between updates.
        warm_up: steps after a start or restart before the first update.
        seed: of random feedback.
    """

    def __init__(
        self,
        model: Model,
        settings: Settings,
        *,
        n_lanes: int = 1,
        update_every: int = 1,
        warm_up: int = 0,
        seed: int = 0,
    ) -> None:
        if update_every < 1:
            raise ConfigurationError(f"update_every must be at least 1 step; got {update_every}")
        self.state = LearnerState(model, settings, seed=seed)
        self._update_every, self.warm_up = update_every, warm_up
        self.n_credited = max(model.tau_d, update_every)
        n_reached = max(self.n_credited, update_every + settings.rule.prior.memory)
        self.records = Records(model.encoder, n_reached + trace_steps(model), n_lanes)
        super().__init__(settings)
        self.generation = 0  # updates so far
        self.last: Outcome | None = None

    @property
    def update_every(self) -> int:
        """Steps between updates."""
        return self._update_every

    @property
    def beta(self) -> float:
        """Weight of the information cost; may be set while running."""
        return self.state.rule.beta

    @beta.setter
    def beta(self, beta: float) -> None:
        self.state.rule = replace(self.state.rule, beta=beta)

    def pause(self) -> None:
        """Stop changing weights; the records of before are forgotten on resuming."""
        self.is_paused = True

    def resume(self) -> None:
        """Learn again, from the next steps on."""
        self.is_paused = False
        self.records.clear()

    def restart(self) -> None:
        """Forget what was recorded: the stream began again."""
        self.records.clear()

    def watch(self, trace: EncoderTrace) -> None:
        """Record a chunk of steps; change nothing."""
        self.records.push(trace)

    def learn(self, window: SpikeWindow, target: Target | None, end_us: int) -> Weights | None:
        """One update towards ``target``, (n_lanes, *output_shape).

        Raises:
            TargetError: the target has another shape or is not finite.
            LearningError: the update was not finite; the last good weights are in place, and
                the learner is paused.
        """
        n_held = self.records.n_held
        if target is None or n_held == 0 or self.records.n_seen <= self.warm_up:
            return None
        output_shape = self.state.model.decoder_shape.output_shape
        check_target(target, (self.records.n_lanes, *output_shape))
        some = self.state.weights[-1].bias
        sequences = self.records.sequences(some.dtype, some.device)
        span = Span(max(0, n_held - self.n_credited), max(0, n_held - self.records.n_new))
        self.records.n_new = 0
        targets = torch.from_numpy(np.asarray(target)).to(some.device, some.dtype)[None]
        try:
            self.last = self.state.update(
                sequences, targets, [n_held - 1], self.learning_rate,
                self.decoder_learning_rate, span,
            )  # fmt: skip
            self.generation += 1
        except LearningError:
            self.is_paused = True
            raise
        return tuple(
            LayerWeights(layer.synapses.clone(), layer.feedback.clone(), layer.bias.clone())
            for layer in self.state.weights
        )

    def metrics(self) -> dict[str, float]:
        """Of the last update: nats, spikes per step, gradient norm."""
        now = {
            "updates": float(self.generation),
            "learning_rate": self.learning_rate,
            "beta": self.beta,
        }
        if self.last is not None:
            found = self.last.estimate
            now |= {
                "decoder_nats": float(found.decoder_loss),
                "information_nats_per_step": float(found.information),
                "spikes_per_step": float(found.spikes_per_step),
                "gradient_norm": float(self.last.norm),
            }
        return now

    def tensors(self) -> Mapping[str, Tensor]:
        """Everything that changes, by name; the decoder's weights are the model's."""
        named = {n: t for n, t in self.state.tensors().items() if not n.startswith("decoder.")}
        named |= self.records.tensors()
        rates = [self.learning_rate, self.decoder_learning_rate, self.beta]
        named["rates"] = torch.tensor(rates, dtype=torch.float64)
        named["numbers"] = torch.tensor([self.generation, int(self.is_paused)])
        return named

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what ``tensors`` gave.

        Raises:
            CheckpointError: a tensor is missing or has another shape.
        """
        rings = self.records.tensors()
        for name in [*rings, "rates", "numbers"]:
            if name not in tensors or (name in rings and tensors[name].shape != rings[name].shape):
                raise CheckpointError(
                    f"a learner's state requires {name} as this model and rule have it; "
                    "the checkpoint is of another"
                )
        decoder = self.state.model.decoder.state_dict()
        self.state.load_tensors({f"decoder.{n}": t for n, t in decoder.items()} | dict(tensors))
        for name, ring in rings.items():
            if name != "records.counts":
                ring.copy_(tensors[name])
        self.records.load_counts(tensors["records.counts"])
        self.learning_rate, self.decoder_learning_rate, self.beta = tensors["rates"].tolist()
        self.generation = int(tensors["numbers"][0])
        self.is_paused = bool(tensors["numbers"][1])


def trace_steps(model: Model) -> int:
    """Steps before the oldest credited one that its traces reach back to."""
    neurons = [srm_of(layer) for layer in model.encoder.layers]
    through_layers = sum(neuron.response.tau_e - 1 for neuron in neurons)
    return max(through_layers, *(neuron.feedback.tau_e for neuron in neurons))
