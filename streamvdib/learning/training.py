"""Offline training: from a configuration to a model file, resumable at any moment.

The folder that it writes holds ``metrics.jsonl`` (one line per measurement), ``curve.png``,
``checkpoint.safetensors`` (everything that changes) and at the end ``NAME.safetensors``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from streamvdib.errors import CheckpointError, SinkError
from streamvdib.learning.batch import BatchLearner, decode_sequences
from streamvdib.learning.configuration import Configuration
from streamvdib.learning.curve import forget_after
from streamvdib.learning.fused import keep_freed_memory
from streamvdib.learning.learner_state import LearnerState, Outcome
from streamvdib.learning.training_data import Examples, make_examples
from streamvdib.model import Model, new_model, save_model

Report = Callable[[dict[str, Any]], None]
METRICS = "metrics.jsonl"
CHECKPOINT_SECONDS = 60.0
SMOOTHING = 0.05  # of the metrics between measurements


class Training:
    """A training in progress. Memory: four times the model, and one batch."""

    def __init__(self, configuration: Configuration, out: Path, report: Report) -> None:
        self.configuration, self.out, self.report = configuration, out, report
        schedule = configuration.training
        keep_freed_memory()
        torch.set_float32_matmul_precision("medium" if schedule.precision == "bf16" else "highest")
        data = dict(configuration.data)
        kind = str(data.pop("kind", ""))
        self.examples: Examples = make_examples(kind, configuration.seed, data)
        model = new_model(configuration.model, configuration.seed)
        self.settings = configuration.settings()
        self.state = LearnerState(model, self.settings, seed=configuration.seed)
        self.learner = BatchLearner(self.state, seed=configuration.seed)
        self.done = 0  # examples
        self.seconds = 0.0  # of training so far, over all sittings
        self.smooth: dict[str, float] = {}
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"a training requires a folder to write to; {error}") from None

    @property
    def model(self) -> Model:
        """The model with the weights of this moment."""
        return self.state.model.with_weights(self.state.weights)

    def run(self) -> dict[str, float]:
        """Learn until all examples are done; an interruption leaves a checkpoint.

        Returns:
            The last validation's scores.
        """
        scores: dict[str, float] = {}
        schedule = self.configuration.training
        saved = began = time.monotonic()
        before = self.seconds
        try:
            while self.done < schedule.examples:
                self._learn_one()
                now = time.monotonic()
                self.seconds = before + now - began
                crossed = self.done % schedule.validate_every < schedule.batch
                if crossed or self.done >= schedule.examples:
                    scores = self.measure()
                if now - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = now
        finally:
            self.save()
        save_model(self.model, self.out / f"{self.configuration.name}.safetensors",
                   half=schedule.half)  # fmt: skip
        return scores

    def measure(self) -> dict[str, float]:
        """Validate, and append a line to ``metrics.jsonl``."""
        scores = self.examples.validate(
            lambda inputs, steps: decode_sequences(self.state, inputs, steps)
        )
        line = {"examples": self.done, "seconds": round(self.seconds, 1)} | self.smooth | scores
        with (self.out / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.report(line)
        return scores

    def save(self) -> None:
        """Write everything that changes, replacing the last checkpoint at once."""
        about = {"done": self.done, "n_steps_done": self.learner.n_steps_done,
                 "seconds": self.seconds, "smooth": self.smooth, "seed": self.configuration.seed,
                 "model": json.dumps(dict(self.configuration.model), sort_keys=True)}  # fmt: skip
        path = self.out / "checkpoint.safetensors"
        part = path.with_suffix(".part")
        tensors = {n: t.detach().cpu().contiguous() for n, t in self.state.tensors().items()}
        save_file(tensors, part, {"about": json.dumps(about)})
        part.replace(path)

    def resume(self) -> bool:
        """Go on from the checkpoint in the folder; False if there is none.

        Raises:
            CheckpointError: it is damaged, or of another model or seed.
        """
        path = self.out / "checkpoint.safetensors"
        if not path.is_file():
            forget_after(self.out / METRICS, 0)
            return False
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["about"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path} must be a training's checkpoint; {error}") from None
        if about["model"] != json.dumps(dict(self.configuration.model), sort_keys=True):
            raise CheckpointError(
                f"{path} must be of the model in the configuration; it is of another. "
                "Use another --out folder."
            )
        if (seed := about.get("seed", self.configuration.seed)) != self.configuration.seed:
            raise CheckpointError(
                f"{path} must be of the configuration's seed, {self.configuration.seed}; it is of "
                f"seed {seed}. Use another --out folder."
            )
        self.state.load_tensors(tensors)
        self.done, self.learner.n_steps_done = about["done"], about["n_steps_done"]
        self.seconds, self.smooth = about["seconds"], about["smooth"]
        forget_after(self.out / METRICS, self.done)
        return True

    def _learn_one(self) -> None:
        schedule = self.configuration.training
        factor = schedule.factor(self.done)
        batch = self.examples.batch(self.done // schedule.batch, schedule.batch)
        outcome = self.learner.learn(
            batch,
            factor * self.settings.learning_rate,
            factor * self.settings.rate_of_decoder,
        )
        self.done += schedule.batch
        self._smooth(outcome, len(batch.inputs))

    def _smooth(self, outcome: Outcome, n_steps: int) -> None:
        found = outcome.estimate
        now = {
            "decoder_nats": float(found.decoder_loss),
            "information_nats_per_step": float(found.information),
            "information_nats": float(found.information) * n_steps,
            "spikes_per_step": float(found.spikes_per_step),
            "gradient_norm": float(outcome.norm),
        }
        for name, value in now.items():
            self.smooth[name] = value + (1 - SMOOTHING) * (self.smooth.get(name, value) - value)
