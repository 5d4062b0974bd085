"""A picture of ``metrics.jsonl``: one panel per measured quantity, over examples."""

from __future__ import annotations

import json
from pathlib import Path

from streamvdib.errors import MissingExtraError

NOT_DRAWN = ("examples", "seconds", "gradient_norm")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw_curve(metrics: Path, picture: Path) -> None:
    """Draw the metrics into a PNG file."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise MissingExtraError("a curve", extra="plots", missing="matplotlib") from None
    mpl.use("Agg")
    from matplotlib import pyplot

    lines = read_metrics(metrics)
    names = [name for name in lines[-1] if name not in NOT_DRAWN]
    figure, axes = pyplot.subplots(
        len(names), 1, figsize=(7, 1.8 * len(names)), sharex=True, squeeze=False
    )
    for axis, name in zip(axes[:, 0], names, strict=True):
        shown = [line for line in lines if name in line]
        axis.plot([line["examples"] for line in shown], [line[name] for line in shown], ".-")
        axis.set_ylabel(name.replace("_", " "), fontsize=7)
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("examples")
    figure.tight_layout()
    figure.savefig(picture, dpi=100)
    pyplot.close(figure)
