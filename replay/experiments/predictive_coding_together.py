"""Many trainings of predictive coding side by side: one readout layer and a softmax decoder.

Each training has its own weights, draws and sequences and is what it would be alone; only the work
is shared. The neurons of all trainings are lanes of one loop over the steps, and the decoder's
gradient is written out: dl/da = softmax(a) - r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.encoder import LayerWeights
from streamvdib.errors import LearningError
from streamvdib.learning.baseline import Baseline
from streamvdib.learning.decoder_signal import DecoderSignal
from streamvdib.learning.fast_draws import draws
from streamvdib.learning.filters import apply, matrices_like
from streamvdib.learning.gradients import OFFLINE, readout_delta_pathwise, readout_delta_score
from streamvdib.learning.optimisers import Adam, OptimiserState
from streamvdib.learning.rule import Rule
from streamvdib.learning.sequence import LayerSequence, fire_sequence, srm_of
from streamvdib.model import Model
from streamvdib.neurons.neuron import NeuronParameters
from streamvdib.randomness import lane_keys

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Lesson:
    """One training's batch."""

    inputs: Tensor  # x, float32, (n_steps, n_sequences, n_inputs)
    classes: Tensor  # of the targets, int64, (n_decodes, n_sequences)
    steps: range  # decoded at, each with a full window, (n_decodes,)


class TrainingsTogether:
    """Trainings of models that differ in their weights only, under one rule, with Adam.

    Memory: three times the weights of all models, and one batch of each.
    """

    def __init__(self, models: Sequence[Model], seeds: Sequence[int], rule: Rule) -> None:
        self.models, self.rule = models, rule
        self.layer, self.tau_d = models[0].encoder.layers[0], models[0].tau_d
        self.tensors: Tensors = {
            "synapses": torch.stack([m.weights[0].synapses.flatten(0, 1) for m in models]),
            "feedback": torch.stack([m.weights[0].feedback for m in models]),
            "bias": torch.stack([m.weights[0].bias for m in models]),
        }
        for name in ("first.weight", "first.bias"):
            values = [m.decoder.get_parameter(name).detach() for m in models]
            self.tensors[f"decoder.{name}"] = torch.stack(values)
        prior = rule.prior.initial_parameters(models[0].encoder.n_outputs)
        for name, value in prior.items():
            self.tensors[name] = value.expand(len(models), *value.shape).clone()
        self.seeds = seeds
        self.memory, self.n_steps_done = OptimiserState(), 0

    @torch.no_grad()
    def learn(self, lessons: Sequence[Lesson], learning_rate: float) -> None:
        """One update of every training, each from its own lesson.

        Raises:
            LearningError: a gradient is not finite; nothing has changed.
        """
        traces = self._traces(lessons)
        spikes, potentials = self._fire(lessons, traces)
        n_lanes = spikes.shape[1] // len(lessons)
        gradients, signal = self._decode(lessons, torch.split(spikes, n_lanes, 1))
        delta, prior_gradients = self._delta(spikes, potentials, signal, n_lanes)
        gradients |= self._encoder_gradients(traces, spikes, delta * len(lessons), n_lanes)
        gradients |= prior_gradients
        if not all(bool(g.isfinite().all()) for g in gradients.values()):
            raise LearningError("gradients must be finite; use a smaller learning rate")
        Adam().update(self.tensors, gradients, self.memory, learning_rate)
        self.n_steps_done += len(spikes)

    def models_now(self) -> list[Model]:
        """The models with the weights of this moment."""
        found = []
        for index, model in enumerate(self.models):
            shape = model.weights[0].synapses.shape
            synapses = self.tensors["synapses"][index].view(shape)
            rest = (self.tensors[name][index].clone() for name in ("feedback", "bias"))
            for name in ("first.weight", "first.bias"):
                value = self.tensors[f"decoder.{name}"][index]
                model.decoder.get_parameter(name).data.copy_(value)
            found.append(model.with_weights((LayerWeights(synapses.clone(), *rest),)))
        return found

    def _traces(self, lessons: Sequence[Lesson]) -> list[Tensor]:
        """alpha_k * x of every training, (n_steps * n_sequences, n_basis * n_inputs)."""
        made: dict[int, Tensor] = {}  # trainings of one seed share their inputs
        for lesson in lessons:
            x = lesson.inputs
            if id(x) not in made:
                filtered = [apply(m, x) for m in matrices_like(srm_of(self.layer).response, x)]
                made[id(x)] = torch.stack(filtered, 2).flatten(2).flatten(0, 1)
        return [made[id(lesson.inputs)] for lesson in lessons]

    def _fire(self, lessons: Sequence[Lesson], traces: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Spikes and potentials, (n_steps, n_trainings * n_lanes, n_neurons)."""
        n_steps, n_sequences = lessons[0].inputs.shape[:2]
        n_lanes = n_sequences * self.rule.n_samples
        drive, uniform = [], []
        made: dict[int, Tensor] = {}
        for seed, trace, synapses in zip(self.seeds, traces, self.tensors["synapses"], strict=True):
            one = (trace @ synapses).view(n_steps, n_sequences, -1)
            drive.append(one.repeat_interleave(self.rule.n_samples, 1))
            if seed not in made:
                keys = lane_keys(seed, n_lanes)
                made[seed] = draws(keys, self.n_steps_done, n_steps, one.shape[2])
            uniform.append(made[seed])
        bias, feedback = (
            self.tensors[name].repeat_interleave(n_lanes, 0) for name in ("bias", "feedback")
        )
        parameters = NeuronParameters(bias, feedback)
        return fire_sequence(
            srm_of(self.layer), torch.cat(drive, 1), parameters, torch.cat(uniform, 1)
        )

    def _decode(
        self, lessons: Sequence[Lesson], spikes: Sequence[Tensor]
    ) -> tuple[Tensors, DecoderSignal]:
        """The decoders' gradients, and the signal for all lanes as of one mean over trainings."""
        weights, biases = self.tensors["decoder.first.weight"], self.tensors["decoder.first.bias"]
        gradients = {
            "decoder.first.weight": torch.empty_like(weights),
            "decoder.first.bias": torch.empty_like(biases),
        }
        losses, by_spike = [], []
        for index, (lesson, own) in enumerate(zip(lessons, spikes, strict=True)):
            first, n_decodes, n_lanes = lesson.steps[0], len(lesson.steps), own.shape[1]
            lags = [own[first + 1 - self.tau_d + row :][:n_decodes] for row in range(self.tau_d)]
            windows = torch.cat(lags, 2).flatten(0, 1)
            error = torch.softmax(torch.addmm(biases[index], windows, weights[index].T), 1)
            classes = lesson.classes.repeat_interleave(self.rule.n_samples, 1).view(-1, 1)
            losses.append(-error.gather(1, classes).log().view(n_decodes, n_lanes).mean(0))
            error.scatter_add_(1, classes, torch.full(classes.shape, -1.0))
            torch.mm(error.T, windows, out=gradients["decoder.first.weight"][index])
            gradients["decoder.first.weight"][index] /= len(error)
            gradients["decoder.first.bias"][index] = error.mean(0)
            one = torch.zeros_like(own)
            if self.rule.estimator == "pathwise":
                back = (error @ (weights[index] / len(error))).view(
                    n_decodes, n_lanes, self.tau_d, -1
                )
                for row in range(self.tau_d):
                    one[first + 1 - self.tau_d + row :][:n_decodes] += back[:, :, row]
            by_spike.append(one)
        signal = DecoderSignal(
            torch.cat(losses)[None], torch.cat(by_spike, 1) / len(lessons), gradients
        )
        return gradients, signal

    def _delta(
        self, spikes: Tensor, potentials: Tensor, signal: DecoderSignal, n_lanes: int
    ) -> tuple[Tensor, Tensors]:
        """dL/du for L the mean over all trainings, and each training's gradient of its prior."""
        readout = LayerSequence(spikes, spikes, potentials)  # sources are not looked at
        prior = {
            n: t.repeat_interleave(n_lanes, 0) for n, t in self.tensors.items() if "prior" in n
        }
        if self.rule.estimator == "pathwise":
            found = readout_delta_pathwise(readout, signal, self.rule, prior, OFFLINE)
        else:
            found = readout_delta_score(
                readout, signal, self.rule, prior, OFFLINE, Baseline(self.rule)
            )
        delta, _, by_lane = found
        n_trainings = len(self.models)
        return delta, {
            name: n_trainings * g.view(n_trainings, n_lanes, -1).sum(1)
            for name, g in by_lane.items()
        }

    def _encoder_gradients(
        self, traces: list[Tensor], spikes: Tensor, delta: Tensor, n_lanes: int
    ) -> Tensors:
        """Eq. 19 with each training's own traces."""
        neuron = srm_of(self.layer)
        (matrix,) = matrices_like(neuron.feedback, spikes, 1)
        by_training = delta.view(len(delta), len(traces), n_lanes, -1)
        past = apply(matrix, spikes).view(by_training.shape)
        shared = by_training.view(
            *delta.shape[:1], len(traces), -1, self.rule.n_samples, delta.shape[2]
        ).sum(3)
        synapses = [trace.T @ shared[:, index].flatten(0, 1) for index, trace in enumerate(traces)]
        return {
            "synapses": torch.stack(synapses),
            "feedback": (by_training * past).sum((0, 2)),
            "bias": by_training.sum((0, 2)),
        }
