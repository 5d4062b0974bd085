"""``streamvdib reproduce predictive-coding``: section 6.1 and Figure 2 of the paper.

Accuracy and error against the target's lag, spike rate and accuracy against beta, and the effect
of the two windows; each point the mean of trials with their own weights and sequences.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from streamvdib.learning.batch import decode_sequences
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.priors import BernoulliPrior, LearnedPrior, Prior
from streamvdib.learning.rule import Rule
from streamvdib.model import Model, new_model

from .figures import pyplot
from .predictive_coding_examples import N_CLASSES, N_LINES, BlobExamples
from .predictive_coding_together import TrainingsTogether
from .reports import Say, markdown_table, write_report

PRIORS: dict[str, Callable[[], Prior]] = {
    "bernoulli": lambda: BernoulliPrior(0.2),
    "learned": lambda: LearnedPrior(0.2),
}
BATCH = 10
SIDE_BY_SIDE = 22  # trainings; those of one seed share their sequences
LAGS = tuple(range(-5, 6))
BETAS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
WINDOWS = (2, 5, 10)


@dataclass(frozen=True)
class Point:
    """One setting of the experiment."""

    lag: int = -2
    beta: float = 0.1  # of eq. 8, nats per step against nats per step
    tau_e: int = 5
    tau_d: int = 5
    estimator: str = "pathwise"
    prior: str = "bernoulli"


@dataclass(frozen=True)
class Effort:
    """How much is spent on each point."""

    sequences: int = 6_000
    trials: int = 5  # of the sweeps over lag and beta
    side_trials: int = 2  # of the others
    learning_rate: float = 5e-2


@dataclass(frozen=True)
class Trial:
    """One training: a setting with weights, draws and sequences of its own."""

    point: Point
    seed: int

    def kind(self) -> Point:
        """What trainings side by side must have in common: all but the lag."""
        return replace(self.point, lag=0)

    def examples(self) -> BlobExamples:
        """Its sequences."""
        return BlobExamples(seed=self.seed, lag=self.point.lag, warm_up=self.point.tau_d)

    def model(self) -> Model:
        """Its untrained model."""
        return new_model(_description(self.point), self.seed)


def rule_of(point: Point) -> Rule:
    """How a setting learns; beta is that of eq. 8 for a mean over T = 100 decodes."""
    score = point.estimator == "score"
    return Rule(
        estimator=point.estimator, beta=point.beta / BlobExamples(seed=0).n_steps,
        prior=PRIORS[point.prior](), baseline="leave-one-out" if score else "mean",
        n_samples=4 if score else 1,
    )  # fmt: skip


def rates(effort: Effort) -> Iterator[float]:
    """The learning rate of every update: a straight line down to a hundredth."""
    n_batches = effort.sequences // BATCH
    for number in range(n_batches):
        yield effort.learning_rate * (1 - 0.99 * number / n_batches)


def run_trials(trials: Sequence[Trial], effort: Effort) -> list[dict[str, float]]:
    """Train trials of one kind side by side and score each on its test sequence."""
    rule = rule_of(trials[0].point)
    together = TrainingsTogether([t.model() for t in trials], [t.seed for t in trials], rule)
    examples = [trial.examples() for trial in trials]
    for number, rate in enumerate(rates(effort)):
        blobs = {e.seed: e.blobs(number, BATCH) for e in examples}
        together.learn([e.lesson(blobs[e.seed]) for e in examples], rate)
    return [
        _score(model, rule, trial)
        for model, trial in zip(together.models_now(), trials, strict=True)
    ]


def _score(model: Model, rule: Rule, trial: Trial) -> dict[str, float]:
    state = LearnerState(model, Settings(rule), seed=trial.seed)
    return trial.examples().validate(lambda inputs, steps: decode_sequences(state, inputs, steps))


def reproduce_predictive_coding(
    out: Path, effort: Effort, *, seed: int, command: str, say: Say
) -> None:
    """Run every trial that ``out`` does not hold yet, a few side by side, and write the report."""
    sweeps = [(sweep, point, _seeds(sweep, effort, seed)) for sweep, point in points()]
    wanted = dict.fromkeys(Trial(point, s) for _, point, seeds in sweeps for s in seeds)
    found = _run_all(out, list(wanted), effort, say)
    results = [
        {"sweep": sweep} | asdict(point) | _statistics([found[Trial(point, s)] for s in seeds])
        for sweep, point, seeds in sweeps
    ]
    body = (
        f"{effort.sequences:,} training sequences of T = 100 per trial, {effort.trials} trials for "
        f"lag and beta, {effort.side_trials} for the rest, "
        "one test sequence of T = 1,000 each; mean and standard deviation. Inputs 20, readout 10, "
        "softmax decoder, prior Bern(0.2). Beta is that of eq. 8, with both terms summed over "
        "time and neurons in nats. MSE is between the 20 lines lit at t + lag and their decoded "
        "probabilities. Guessing the likeliest pair gives an accuracy of 0.005.\n\n"
        + "\n\n".join(_section(results, sweep, title) for sweep, title in SECTIONS)
        + "\n\n![figure](predictive-coding.png)"
    )
    write_report(
        out, "predictive-coding", "Predictive coding (section 6.1, Figure 2)", body,
        {"seed": seed, "effort": asdict(effort), "results": results}, command,
    )  # fmt: skip
    _draw(out / "predictive-coding.png", results)


def _seeds(sweep: str, effort: Effort, seed: int) -> range:
    return range(seed, seed + (effort.trials if sweep in ("lag", "beta") else effort.side_trials))


def _run_all(
    out: Path, trials: list[Trial], effort: Effort, say: Say
) -> dict[Trial, dict[str, float]]:
    """Scores of every trial; those done before are read from ``trials.jsonl`` in ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "trials.jsonl"
    found: dict[Trial, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        entry = json.loads(line)
        if entry["sequences"] == effort.sequences:
            found[Trial(Point(**entry["point"]), entry["seed"])] = entry["scores"]
    missing = [trial for trial in trials if trial not in found]
    for kind in dict.fromkeys(trial.kind() for trial in missing):
        alike = sorted((t for t in missing if t.kind() == kind), key=lambda t: t.seed)
        for first in range(0, len(alike), SIDE_BY_SIDE):
            group = alike[first : first + SIDE_BY_SIDE]
            found |= zip(group, run_trials(group, effort), strict=True)
            with path.open("a", encoding="utf-8") as file:
                for trial in group:
                    entry = asdict(trial) | {"sequences": effort.sequences}
                    file.write(json.dumps(entry | {"scores": found[trial]}) + "\n")
            say(f"{len(found)} of {len(trials)} trainings")
    return found


SECTIONS = (
    ("lag", "Against the target's lag"),
    ("beta", "Against beta (lag -2)"),
    ("tau_e", "Against the encoder's memory tau_e (lag -2)"),
    ("tau_d", "Against the decoder's window tau_d (lag -2)"),
    ("estimator", "Estimators and priors (lag -2)"),
)


def points() -> Iterator[tuple[str, Point]]:
    """Every setting, with the sweep that it belongs to."""
    base = Point()
    for lag in LAGS:
        yield "lag", replace(base, lag=lag)
    for beta in BETAS:
        yield "beta", replace(base, beta=beta)
    for tau in WINDOWS:
        yield "tau_e", replace(base, tau_e=tau)
    for tau in WINDOWS:
        yield "tau_d", replace(base, tau_d=tau)
    for estimator in ("pathwise", "score"):
        for prior in PRIORS:
            yield "estimator", replace(base, estimator=estimator, prior=prior)


def _description(point: Point) -> dict[str, Any]:
    cosines = {"kind": "raised_cosines", "n_basis": 8, "tau_e": point.tau_e}
    return {
        "dt_us": 1000,
        "input_shape": [N_LINES],
        "layers": [
            {
                "connection": {"kind": "dense", "n_neurons": 10},
                "neuron": {
                    "kind": "srm", "stochastic": True, "learns_feedback": True,
                    "response": cosines, "feedback": {**cosines, "n_basis": 1},
                },
            }
        ],
        "decoder": {
            "kind": "linear", "tau_d": point.tau_d, "output_shape": [N_CLASSES],
            "likelihood": {"name": "categorical"},
        },
    }  # fmt: skip


def _statistics(trials: list[dict[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name in trials[0]:
        values = [trial[name] for trial in trials]
        found[name] = mean(values)
        found[f"{name}_deviation"] = stdev(values) if len(values) > 1 else 0.0
    return found


def _setting(result: dict[str, Any]) -> str:
    if result["sweep"] == "estimator":
        return f"{result['estimator']}, {result['prior']} prior"
    return f"{result['sweep']} {result[result['sweep']]}"


def _section(results: list[dict[str, Any]], sweep: str, title: str) -> str:
    def cell(result: dict[str, Any], name: str) -> str:
        return f"{result[name]:.4f} +- {result[f'{name}_deviation']:.4f}"

    rows = [
        [_setting(r), cell(r, "accuracy"), cell(r, "mse"), cell(r, "spike_rate")]
        for r in results
        if r["sweep"] == sweep
    ]
    table = markdown_table(["setting", "accuracy", "MSE", "readout spike rate"], rows)
    return f"## {title}\n\n{table}"


def _draw(path: Path, results: list[dict[str, Any]]) -> None:
    plt = pyplot()
    figure, axes = plt.subplots(2, 3, figsize=(13, 6))
    panels = (
        ("lag", "accuracy", axes[0, 0]),
        ("lag", "mse", axes[1, 0]),
        ("beta", "spike_rate", axes[0, 1]),
        ("beta", "accuracy", axes[1, 1]),
        ("tau_e", "accuracy", axes[0, 2]),
        ("tau_d", "accuracy", axes[1, 2]),
    )
    for sweep, name, axis in panels:
        chosen = [r for r in results if r["sweep"] == sweep]
        axis.errorbar(
            [r[sweep] for r in chosen], [r[name] for r in chosen],
            yerr=[r[f"{name}_deviation"] for r in chosen], fmt=".-", capsize=3,
        )  # fmt: skip
        if sweep == "beta":
            axis.set_xscale("symlog", linthresh=0.01)
        axis.set_xlabel(sweep)
        axis.set_ylabel(name.replace("_", " "))
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
