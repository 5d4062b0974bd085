"""Offline learning: batches of sequences, one update each, through the same mathematics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from streamvdib.learning.decoder_signal import windows_at
from streamvdib.learning.learner_state import LearnerState, Outcome
from streamvdib.learning.sequence import run_sequence
from streamvdib.randomness import lane_keys


@dataclass(frozen=True)
class Batch:
    """Sequences of equal length and what they should become."""

    inputs: Tensor  # x, 0 or 1, (n_steps, n_lanes, n_inputs)
    targets: Tensor  # r, (n_decodes, n_lanes, *output_shape)
    steps: list[int]  # the steps decoded at, from 0, (n_decodes,)


class BatchLearner:
    """Learns from batches; every batch takes fresh draws of the same lanes' keys."""

    def __init__(self, state: LearnerState, *, seed: int = 0) -> None:
        self.state = state
        self.seed = seed
        self.n_steps_done = 0  # number of the next step, for the draws

    def learn(self, batch: Batch, learning_rate: float, decoder_learning_rate: float) -> Outcome:
        """One update from one batch.

        Raises:
            LearningError: the update was not finite; nothing has changed.
        """
        inputs, targets = batch.inputs, batch.targets
        n_samples = self.state.rule.n_samples
        if n_samples > 1:
            targets = targets.repeat_interleave(n_samples, 1)
        keys = lane_keys(self.seed, n_samples * inputs.shape[1]).to(inputs.device)
        with torch.no_grad():
            sequences = run_sequence(
                self.state.model.encoder, self.state.weights, inputs, keys, self.n_steps_done
            )
        outcome = self.state.update(
            sequences, targets, batch.steps, learning_rate, decoder_learning_rate
        )
        self.n_steps_done += len(inputs)
        return outcome


@torch.no_grad()
def decode_sequences(
    state: LearnerState, inputs: Tensor, steps: list[int], *, seed: int = 1
) -> tuple[Tensor, Tensor]:
    """Frames of sequences from silence, without learning.

    Returns:
        Estimates (n_decodes, n_lanes, *output_shape) and readout spikes (n_steps, n_lanes, n).
    """
    model = state.model
    keys = lane_keys(seed, inputs.shape[1]).to(inputs.device)
    sequences = run_sequence(model.encoder, state.weights, inputs, keys)
    spikes = sequences[-1].spikes
    parameters = model.decoder(windows_at(spikes, steps, model.tau_d))
    frames = model.likelihood.estimate(parameters)
    return frames.view(len(steps), inputs.shape[1], *frames.shape[1:]), spikes
