"""``streamvdib reproduce predictive-coding``: section 6.1 and Figure 2 of the paper.

Accuracy and error against the target's lag, spike rate and accuracy against beta, and the effect
of the two windows; each point the mean of trials with their own weights and sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from streamvdib.learning.batch import BatchLearner, decode_sequences
from streamvdib.learning.learner_state import LearnerState, Settings
from streamvdib.learning.priors import BernoulliPrior, LearnedPrior, Prior
from streamvdib.learning.rule import Rule
from streamvdib.model import new_model

from .figures import pyplot
from .predictive_coding_examples import N_CLASSES, N_LINES, BlobExamples
from .reports import Say, markdown_table, write_report

PRIORS: dict[str, Callable[[], Prior]] = {
    "bernoulli": lambda: BernoulliPrior(0.2),
    "learned": lambda: LearnedPrior(0.2),
}
BATCH = 10
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


def run_point(point: Point, effort: Effort, seed: int) -> dict[str, float]:
    """Train once and score the test sequence."""
    examples = BlobExamples(seed=seed, lag=point.lag, warm_up=point.tau_d)
    model = new_model(_description(point), seed)
    score = point.estimator == "score"
    rule = Rule(
        estimator=point.estimator, beta=point.beta / examples.n_steps,
        prior=PRIORS[point.prior](), baseline="leave-one-out" if score else "mean",
        n_samples=4 if score else 1,
    )  # fmt: skip
    state = LearnerState(model, Settings(rule), seed=seed)
    learner = BatchLearner(state, seed=seed)
    n_batches = effort.sequences // BATCH
    for number in range(n_batches):
        rate = effort.learning_rate * (1 - 0.99 * number / n_batches)
        learner.learn(examples.batch(number, BATCH), rate, rate)
    return examples.validate(lambda inputs, steps: decode_sequences(state, inputs, steps))


def reproduce_predictive_coding(
    out: Path, effort: Effort, *, seed: int, command: str, say: Say
) -> None:
    """Run every point and write the report."""
    results = []
    for sweep, point in points():
        n_trials = effort.trials if sweep in ("lag", "beta") else effort.side_trials
        trials = [run_point(point, effort, seed + trial) for trial in range(n_trials)]
        result = {"sweep": sweep} | asdict(point) | _statistics(trials)
        results.append(result)
        say(f"{sweep:9} {_setting(result)}: accuracy {result['accuracy']:.3f}")
    body = (
        f"{effort.sequences:,} training sequences of T = 100 per trial, {effort.trials} trials for "
        f"lag and beta, {effort.side_trials} for the rest, "
        "one test sequence of T = 1,000 each; mean and standard deviation. Inputs 20, readout 10, "
        "softmax decoder, prior Bern(0.2). Beta is that of eq. 8, with both terms summed over "
        "time and neurons in nats. MSE is between the 20 lines lit at t + lag and their decoded "
        "probabilities. Guessing gives an accuracy of about 0.01.\n\n"
        + "\n\n".join(_section(results, sweep, title) for sweep, title in SECTIONS)
        + "\n\n![figure](predictive-coding.png)"
    )
    write_report(
        out, "predictive-coding", "Predictive coding (section 6.1, Figure 2)", body,
        {"seed": seed, "effort": asdict(effort), "results": results}, command,
    )  # fmt: skip
    _draw(out / "predictive-coding.png", results)


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
    figure, axes = plt.subplots(2, 2, figsize=(9, 6))
    panels = (
        ("lag", "accuracy", axes[0, 0]),
        ("lag", "mse", axes[1, 0]),
        ("beta", "spike_rate", axes[0, 1]),
        ("beta", "accuracy", axes[1, 1]),
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
