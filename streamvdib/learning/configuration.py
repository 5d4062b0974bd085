"""The configuration of a training, from a TOML file.

name = "nmnist"
seed = 0
[data]      kind = "nmnist", and its options
[model]     a model's description (module ``description``)
[rule]      estimator, beta, feedback, credit, baseline, prior = { kind = "bernoulli", rate = 0.3 }
[training]  examples, batch, learning_rate, ... (``Schedule``)
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from streamvdib.description import required
from streamvdib.errors import ConfigurationError
from streamvdib.learning.learner_state import Settings
from streamvdib.learning.optimisers import make_optimiser
from streamvdib.learning.priors import make_prior
from streamvdib.learning.rule import Rule

T = TypeVar("T")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bf16")
KINDS: dict[str, tuple[str, tuple[type, ...]]] = {  # of values, by a field's annotation
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
    "str": ("a word", (str,)),
    "bool": ("true or false", (bool,)),
}


@dataclass(frozen=True)
class Schedule:
    """How long to learn, and how fast.

    ``precision`` "bf16" lets products round their inputs to bfloat16 (sums and weights stay
    float32), which is several times faster where the processor has matrix units.
    """

    examples: int = 100_000
    batch: int = 64
    learning_rate: float = 1e-3
    decoder_learning_rate: float = 0.0  # 0: the encoder's
    schedule: str = "cosine"
    warmup: int = 0  # examples over which the rate rises from 0
    optimiser: str = "adam"
    decoder_optimiser: str = "adam"
    largest_norm: float = 0.0  # clip gradients to this norm; 0: never
    divergence_norm: float = 1e6  # a gradient beyond it ends the training
    validate_every: int = 10_000  # examples
    precision: str = "bf16"
    half: bool = True  # write the model as float16

    def __post_init__(self) -> None:
        if min(self.examples, self.batch, self.validate_every) < 1:
            raise ConfigurationError("examples, batch and validate_every must be at least 1")
        if self.warmup < 0:
            raise ConfigurationError(f"warmup must be 0 or more examples; got {self.warmup}")
        if self.schedule not in SCHEDULES or self.precision not in PRECISIONS:
            raise ConfigurationError(
                f"schedule must be one of {', '.join(SCHEDULES)} and precision one of "
                f"{', '.join(PRECISIONS)}; got {self.schedule!r} and {self.precision!r}"
            )

    def factor(self, done: int) -> float:
        """What the learning rates are multiplied with after ``done`` examples."""
        warm = min(1.0, (done + self.batch) / self.warmup) if self.warmup else 1.0
        if self.schedule == "constant":
            return warm
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done / self.examples)))


@dataclass(frozen=True)
class Configuration:
    """Everything a training needs."""

    name: str
    seed: int
    data: Mapping[str, Any]
    model: Mapping[str, Any]
    rule: Rule
    training: Schedule

    def __post_init__(self) -> None:
        check_kind("name", "str", self.name)
        check_kind("seed", "int", self.seed)
        if self.seed < 0:
            raise ConfigurationError(f"seed must be 0 or more; got {self.seed}")
        if not self.name or Path(self.name).name != self.name:
            raise ConfigurationError(
                f"name must be that of a file, without a folder; got {self.name!r}"
            )

    def settings(self) -> Settings:
        """Optimisers and rates for ``LearnerState``."""
        training = self.training
        return Settings(
            self.rule,
            make_optimiser(training.optimiser),
            make_optimiser(training.decoder_optimiser),
            training.learning_rate,
            training.decoder_learning_rate or None,
            training.largest_norm,
            training.divergence_norm,
        )


def read_configuration(path: Path) -> Configuration:
    """Read a TOML file.

    Raises:
        ConfigurationError: it cannot be read or holds a wrong key; the message names it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} must be a TOML file; {error}") from None
    return configuration_from(table)


def configuration_from(table: Mapping[str, Any]) -> Configuration:
    """From plain tables, as a TOML file holds them."""
    known = {"name", "seed", "data", "model", "rule", "training"}
    if odd := sorted(set(table) - known):
        raise ConfigurationError(f"a training knows {sorted(known)}; got also {odd}")
    name = table.get("name", "model")
    configuration = Configuration(
        name,
        table.get("seed", 0),
        _table("[data]", required(table, "data", "a training")),
        {"name": name} | dict(_table("[model]", required(table, "model", "a training"))),
        rule_from(table.get("rule", {})),
        _filled(Schedule, table.get("training", {}), "training"),
    )
    configuration.settings()  # which look at the rates
    return configuration


def rule_from(table: Mapping[str, Any]) -> Rule:
    """A rule from a table; ``prior`` is a table of its own."""
    options = dict(_table("[rule]", table))
    if "prior" in options:
        prior = dict(_table("prior", options["prior"]))
        options["prior"] = make_prior(str(required(prior, "kind", "a prior")), **_rest(prior))
    return _filled(Rule, options, "rule")


def _rest(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key != "kind"}


def _filled(kind: type[T], table: Mapping[str, Any], what: str) -> T:
    known = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]
    if odd := sorted(set(_table(f"[{what}]", table)) - set(known)):
        raise ConfigurationError(f"[{what}] knows {sorted(known)}; got also {odd}")
    for name, value in table.items():
        check_kind(f"{name} of [{what}]", known[name], value)
    return kind(**table)


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} must be a table; got {value!r}")
    return value


def check_kind(name: str, kind: str, value: Any) -> None:
    """Raise ``ConfigurationError`` where a value is of no kind in ``KINDS`` that it must be."""
    if kind not in KINDS:
        return
    words, types = KINDS[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
        raise ConfigurationError(f"{name} must be {words}; got {value!r}")
