"""``streamvdib train CONFIG.toml``: learn a model offline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("configuration", metavar="CONFIG.toml", type=Path)
    parser.add_argument("--out", type=Path, help="folder to write; runs/NAME if not given")
    parser.add_argument(
        "--fresh", action="store_true", help="begin again instead of resuming a checkpoint there"
    )
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (1)")
    parser.add_argument("--seed", type=int, help="instead of the configuration's")
    parser.add_argument("--examples", type=counted, help="instead of the configuration's")
    parser.add_argument(
        "--data", action="append", default=[], metavar="KEY=VALUE",
        help="set an option of [data], such as folder=PATH",
    )  # fmt: skip


def execute(arguments: argparse.Namespace) -> int:
    """Train, or go on with a training."""
    import torch

    from streamvdib.learning.training import Training

    torch.set_num_threads(arguments.threads)
    configuration = _configuration(arguments)
    out = arguments.out or Path("runs") / configuration.name
    if arguments.fresh:
        for name in ("checkpoint.safetensors", "metrics.jsonl"):
            (out / name).unlink(missing_ok=True)
    with _Progress(configuration.training.examples) as progress:
        training = Training(configuration, out, progress.show)
        if training.resume():
            progress.say(f"resuming after {training.done:,} examples")
        scores = training.run()
    _finish(out, configuration.name, scores)
    return 0


def _configuration(arguments: argparse.Namespace) -> Any:
    from dataclasses import replace

    from streamvdib.errors import ConfigurationError
    from streamvdib.learning.configuration import read_configuration

    configuration = read_configuration(arguments.configuration)
    data = dict(configuration.data)
    for pair in arguments.data:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigurationError(f"--data must be KEY=VALUE; got {pair!r}")
        data[key] = _value(value)
    configuration = replace(configuration, data=data)
    if arguments.seed is not None:
        configuration = replace(configuration, seed=arguments.seed)
    if arguments.examples is not None:
        schedule = replace(configuration.training, examples=arguments.examples)
        configuration = replace(configuration, training=schedule)
    return configuration


def _value(text: str) -> Any:
    """A number or truth value if it reads as one in TOML, else the text itself."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _finish(out: Path, name: str, scores: dict[str, float]) -> None:
    from rich.console import Console

    from streamvdib.errors import MissingExtraError
    from streamvdib.learning.curve import draw_curve

    console = Console()
    try:
        draw_curve(out / "metrics.jsonl", out / "curve.png")
    except MissingExtraError as error:
        console.print(f"no curve: {error}")
    for key, value in scores.items():
        console.print(f"{key:24} {value:.4f}")
    console.print(f"model: {out / name}.safetensors")


class _Progress:
    """A progress bar that also prints every measurement."""

    def __init__(self, n_examples: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self._task = self._progress.add_task("training", total=n_examples)

    def __enter__(self) -> _Progress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text)

    def show(self, line: dict[str, Any]) -> None:
        """Show a measurement."""
        self._progress.update(self._task, completed=line["examples"])
        self.say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
                           for k, v in line.items()))  # fmt: skip
