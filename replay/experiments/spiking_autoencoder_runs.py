"""The training runs of the spiking-autoencoder experiment, each by its name.

"paper" runs use the paper's settings (section 3.1) and torch's initial weights, which the paper
does not name. "better" runs change what their line says. The three studies of Fig. 3 see
``STUDY_BATCHES`` batches instead of the whole epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from streamvdib.learning.membrane_potential import MembranePotentialSettings

from .spiking_autoencoder_training import AutoencoderSettings

STUDY_BATCHES = 100
PAPER = AutoencoderSettings()
BETTER = replace(PAPER, initialisation="he", final_rate=0.02)
FASHION = replace(PAPER, n_steps=60)


@dataclass(frozen=True)
class Run:
    """One training run and what it is compared on."""

    name: str
    dataset: str  # "mnist" or "fashion_mnist"
    settings: AutoencoderSettings
    n_batches: int | None = None  # None: the whole epoch
    figure: str = ""  # the figure that it belongs to
    paper_mse: float | None = None  # what the paper reports for it


def _study(name: str, figure: str, settings: AutoencoderSettings) -> Run:
    return Run(name, "mnist", settings, STUDY_BATCHES, figure)


def _rule(**changes: float | bool) -> AutoencoderSettings:
    return replace(PAPER, rule=MembranePotentialSettings(**changes))  # type: ignore[arg-type]


def _fashion(n_hidden: int) -> AutoencoderSettings:
    """A hidden layer of balanced random weights that stays as it is; only the readout learns."""
    rule = MembranePotentialSettings(learning_rate=1e-3, hidden_rate=0.0)
    return replace(
        BETTER, n_hidden=n_hidden, n_steps=30, n_test_steps=60, initialisation="balanced", rule=rule
    )


def _learning(n_hidden: int, n_steps: int, seed: int) -> Run:
    """The same, but the hidden layer learns too, without the mean image's direction."""
    fixed = _fashion(n_hidden)
    rule = replace(fixed.rule, hidden_rate=0.01, keeps_mean_current=True)
    settings = replace(fixed, n_steps=n_steps, seed=seed, rule=rule)
    name = f"fashion-{n_hidden}-learning" + (f"-{seed}" if seed else "")
    paper_mse = {512: 0.178, 1024: 0.140}[n_hidden]
    return Run(name, "fashion_mnist", settings, figure="5", paper_mse=paper_mse)


RUNS: dict[str, Run] = {
    run.name: run
    for run in (
        Run("mnist-paper", "mnist", PAPER, figure="4", paper_mse=0.357),
        Run("mnist-better", "mnist", BETTER, figure="4", paper_mse=0.357),
        Run(
            "fashion-512-paper",
            "fashion_mnist",
            replace(FASHION, n_hidden=512),
            figure="5",
            paper_mse=0.178,
        ),
        Run(
            "fashion-512-he",
            "fashion_mnist",
            replace(BETTER, n_hidden=512, n_steps=30, n_test_steps=60),
            figure="5",
            paper_mse=0.178,
        ),
        Run("fashion-512-better", "fashion_mnist", _fashion(512), figure="5", paper_mse=0.178),
        Run("fashion-1024-better", "fashion_mnist", _fashion(1024), figure="5", paper_mse=0.140),
        Run(
            "fashion-1024-paper",
            "fashion_mnist",
            replace(FASHION, n_hidden=1024),
            figure="5",
            paper_mse=0.140,
        ),
        *(_learning(512, 30, seed) for seed in range(3)),
        _learning(1024, 15, 0),
        *(_study(f"leak-{leak:g}", "3a", replace(PAPER, leak=leak)) for leak in (0, 0.001, 0.01)),
        _study("leak-0.1", "3a", PAPER),
        _study("no-mask", "3b", _rule(masked=False)),
        *(_study(f"duration-{n}", "3c", replace(PAPER, n_steps=n)) for n in (5, 30, 60)),
        _study("ordinary-adam", "", _rule(forgets_moments=False)),
    )
}
