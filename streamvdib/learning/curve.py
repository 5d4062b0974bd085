"""Pictures of what learning wrote down, line by line: one panel per measured quantity."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from streamvdib.errors import MissingExtraError

NOT_DRAWN = ("examples", "seconds", "gradient_norm")
SCORES = ("decoder_nats", "information_nats_per_step", "spikes_per_step")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def forget_after(path: Path, done: int) -> None:
    """Take off lines of more than ``done`` examples: a resumed training writes them again.

    A line that was cut short by the end of a process goes too.
    """
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["examples"] <= done:
                kept.append(line)
        except ValueError:
            continue
    part = path.with_suffix(".part")
    part.write_text("".join(kept), encoding="utf-8")
    part.replace(path)


def draw_curve(metrics: Path, picture: Path) -> None:
    """Draw the metrics of a training into a PNG file, over examples."""
    lines = read_metrics(metrics)
    _draw(lines, "examples", [name for name in lines[-1] if name not in NOT_DRAWN], picture)


def draw_scores(scores: Path, picture: Path) -> None:
    """Draw the test-then-train scores of a run into a PNG file, over updates.

    Each is the score of one update, taken before it; the line is their mean so far. A run over
    several sources is one curve.
    """
    lines = [{"update": n} | line for n, line in enumerate(read_metrics(scores), 1)]
    names = [name for name in SCORES if any(line.get(name) is not None for line in lines)]
    if names:
        _draw(lines, "update", names, picture, with_mean=True)


def _draw(
    lines: list[dict[str, float]], x: str, names: list[str], picture: Path, *,
    with_mean: bool = False,
) -> None:  # fmt: skip
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("a curve", extra="plots", missing="matplotlib") from None
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(names), 1, figsize=(7, 1.8 * len(names)), sharex=True, squeeze=False
    )
    for axis, name in zip(axes[:, 0], names, strict=True):
        shown = [line for line in lines if line.get(name) is not None]
        at, values = [line[x] for line in shown], [line[name] for line in shown]
        axis.plot(at, values, "." if with_mean else ".-")
        if with_mean:
            sums = itertools.accumulate(values)
            axis.plot(at, [total / count for count, total in enumerate(sums, 1)])
        axis.set_ylabel(name.replace("_", " "), fontsize=7)
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel(x)
    figure.tight_layout()
    figure.savefig(picture, dpi=100)
    pyplot.close(figure)
