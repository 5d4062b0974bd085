"""Options of learning while decoding, and the learner they describe."""

from __future__ import annotations

import argparse
import json
import math
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from streamvdib.errors import ConfigurationError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streamvdib.engine import Engine, Learner
    from streamvdib.events import EventPacket
    from streamvdib.model import Model


DEFAULTS: dict[str, Any] = {  # of options that say how to learn
    "estimator": "pathwise",
    "learning_rate": 1e-4,
    "decoder_learning_rate": None,
    "beta": 1e-3,
    "prior": "bernoulli",
    "prior_rate": 0.3,
    "baseline": "mean",
    "optimiser": "adam",
    "feedback": "symmetric",
    "credit": "windowed",
    "update_every": None,
    "target_every": None,
    "learner_backend": "auto",
}
OUTCOMES = ("score", "plot", "save_model")  # files that a run writes; a service has none
SHADOW_OPTIONS = {  # of the command line, and what ``Shadow`` calls them
    "shadow_every": "holdout_every",
    "shadow_trials": "n_trials",
    "shadow_margin": "margin",
}


def add_learning_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("learning")
    group.add_argument("--learn", action="store_true", help="learn while decoding")
    group.add_argument(
        "--targets",
        help="image:FILE, label:N, frames (the sensor's own) or FILE.npz; "
        "{stem} stands for the source's name without its ending",
    )
    group.add_argument("--estimator", choices=("pathwise", "score"), help="(%(default)s)")
    group.add_argument("--learning-rate", type=float, help="(%(default)s)")
    group.add_argument(
        "--decoder-learning-rate", type=float, metavar="RATE", help="(--learning-rate)"
    )
    group.add_argument("--beta", type=float, help="weight of a nat (%(default)s)")
    group.add_argument(
        "--prior",
        choices=("bernoulli", "learned", "autoregressive"),
        help="what the spikes are compared with; autoregressive: learned, with memory "
        "(%(default)s)",
    )
    group.add_argument(
        "--prior-rate", type=float, metavar="R", help="its spikes per step, at first (%(default)s)"
    )
    group.add_argument(
        "--baseline", choices=("none", "mean", "per-weight"), help="of score (%(default)s)"
    )
    group.add_argument("--optimiser", choices=("sgd", "momentum", "adam"), help="(%(default)s)")
    group.add_argument(
        "--feedback",
        choices=("symmetric", "random", "aligned"),
        help="how hidden layers are told of the readout's errors (%(default)s)",
    )
    group.add_argument("--credit", choices=("windowed", "instantaneous"), help="(%(default)s)")
    group.add_argument("--update-every", type=int, help="steps between updates (tau_d / 2)")
    group.add_argument(
        "--target-every",
        type=int,
        help="steps between targets, with --update-every 1: the encoder learns in between",
    )
    group.add_argument(
        "--learner-backend",
        choices=("auto", "torch", "compiled"),
        help="compiled: in the encoder's own loops; score, sgd, random feedback, instantaneous "
        "credit, one lane (%(default)s)",
    )
    group.add_argument(
        "--no-guard", action="store_true", help="let bad updates pass; the run may fail"
    )
    group.add_argument(
        "--shadow",
        action="store_true",
        help="learn on a copy; swap it in when it is better on targets that were held out",
    )
    group.add_argument(
        "--shadow-every",
        type=int,
        metavar="N",
        help="one target in N is held out (5)",
    )
    group.add_argument(
        "--shadow-trials",
        type=int,
        metavar="N",
        help="held-out targets before each decision (20)",
    )
    group.add_argument(
        "--shadow-margin",
        type=float,
        metavar="F",
        help="by which fraction the copy's error must be lower (0.02)",
    )
    parser.set_defaults(**DEFAULTS)


def add_outcome_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a run that ends."""
    group = parser.add_argument_group("what learning gave")
    group.add_argument(
        "--score", metavar="FILE", help="test-then-train scores, one JSON line per update"
    )
    group.add_argument("--plot", metavar="FILE.png", help="the scores as a picture, at the end")
    group.add_argument("--save-model", metavar="FILE", help="write what was learned")


class Learning:
    """The learner of a run over one or several sources; it learns on from one to the next."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        if arguments.learn and not arguments.targets:
            raise ConfigurationError(
                "--learn requires --targets: image:FILE, label:N, frames or FILE.npz; got none"
            )
        self._outcome = {name: getattr(arguments, name, None) for name in OUTCOMES}
        named = ("targets", "shadow", "no_guard", *DEFAULTS)
        _check_requires(vars(arguments) | self._outcome, (*OUTCOMES, *named), "learn")
        _check_requires(vars(arguments), SHADOW_OPTIONS, "shadow")
        if arguments.shadow:
            from streamvdib.learning.shadow import check_shadow

            check_shadow(**(self.about or {})["shadow"])
        if self._outcome["plot"] and not self._outcome["score"]:
            raise ConfigurationError("--plot draws what --score wrote; it requires --score FILE")
        if arguments.baseline != DEFAULTS["baseline"] and arguments.estimator != "score":
            raise ConfigurationError("--baseline requires --estimator score; pathwise has none")
        self._learner: Learner | None = None
        self._targets: Any = None
        self._scores: TextIO | None = None

    @property
    def about(self) -> dict[str, Any] | None:
        """What a rerun must know to make the learner again."""
        if not self._arguments.learn:
            return None
        given = self._arguments
        options: dict[str, Any] = {
            "estimator": given.estimator,
            "learning_rate": given.learning_rate,
            "decoder_learning_rate": given.decoder_learning_rate,
            "beta": given.beta,
            "prior": {"kind": given.prior, "rate": given.prior_rate},
            "baseline": given.baseline,
            "seed": given.seed,
            "optimiser": given.optimiser,
            "feedback": given.feedback,
            "credit": given.credit,
            "backend": given.learner_backend,
        }
        for name in ("update_every", "target_every"):
            if getattr(given, name) is not None:
                options[name] = getattr(given, name)
        if not given.no_guard:
            options["guard"] = {}
        if given.shadow:
            options["shadow"] = {
                name: getattr(given, option)
                for option, name in SHADOW_OPTIONS.items()
                if getattr(given, option) is not None
            }
        return options

    def attach(self, engine: Engine, uri: str) -> None:
        """Let an engine learn from the targets of a source."""
        about = self.about
        if about is None:
            return
        from streamvdib.learning.guard import make_guarded_learner
        from streamvdib.learning.targets import open_targets

        if self._learner is None:
            self._learner = make_guarded_learner(engine, about)
        else:
            self._learner.restart()
        words = self._arguments.targets.replace("{stem}", Path(uri).stem)
        self._targets = open_targets(words, engine.model, engine.geometry)
        engine.learner, engine.targets = self._learner, self._targets
        if self._scores is not None:
            engine.update_observers.append(
                partial(self._score, engine, self._learner, self._scores)
            )

    def watched(self, packets: Iterable[EventPacket]) -> Iterator[EventPacket]:
        """The packets, which targets that come with them see first."""
        watch = getattr(self._targets, "watch", None)
        for packet in packets:
            if watch is not None:
                watch(packet)
            yield packet

    def _score(self, engine: Engine, learner: Learner, scores: TextIO) -> None:
        """Write the score of the newest update, taken before it learned."""
        metrics: dict[str, float] = getattr(learner, "metrics", dict)()
        finite = {n: v if math.isfinite(v) else None for n, v in metrics.items()}  # JSON has no nan
        scores.write(json.dumps({"step": engine.step, "end_us": engine.end_us} | finite) + "\n")

    def save(self, model: Model) -> None:
        """Write the model if it was asked for."""
        from streamvdib.model import save_model

        if path := self._outcome["save_model"]:
            try:
                save_model(model, Path(path))
            except OSError as error:
                raise SinkError(f"--save-model requires a file to write to; {error}") from None

    def __enter__(self) -> Self:
        for option in ("plot", "save_model"):  # told now, not when all is learned
            path = self._outcome[option]
            if path and not Path(path).parent.is_dir():
                raise SinkError(
                    f"--{option.replace('_', '-')} requires a folder that exists; got {path!r}"
                )
        if path := self._outcome["score"]:
            try:
                self._scores = Path(path).open("w")
            except OSError as error:
                raise SinkError(f"--score requires a file to write to; {error}") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._scores is None:
            return
        self._scores.close()
        if (plot := self._outcome["plot"]) and kind is None:
            from streamvdib.learning.curve import draw_scores

            try:
                draw_scores(Path(str(self._outcome["score"])), Path(plot))
            except (OSError, ValueError) as problem:
                raise SinkError(f"--plot requires a picture to write to; {problem}") from None


def _check_requires(given: Mapping[str, Any], names: Iterable[str], needed: str) -> None:
    """Raise ``ConfigurationError`` where one of these options came without another."""
    for name in names:
        value = given[name]
        is_given = value not in (None, False, "") and value != DEFAULTS.get(name)
        if is_given and not given[needed]:
            raise ConfigurationError(
                f"--{name.replace('_', '-')} says how to learn; it requires --{needed}"
            )
