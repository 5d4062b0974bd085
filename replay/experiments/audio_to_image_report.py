"""The report of the audio-to-image experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from .audio_to_image_data import TEST_SHIFT
from .audio_to_image_runs import AudioData
from .figures import draw_lines
from .montage import write_montage
from .reports import markdown_table, write_report

PAPER = {"A-snn-15": 0.254, "A-ann-16": 0.408, "A-ann-adam-16": 0.144, "B-snn-10": 0.543,
         "B-ann-16": 0.611, "B-ann-adam-16": 0.556}  # fmt: skip
WHAT_IT_IS = """\
The Free Spoken Digit Dataset stands in for TI-46: {n_train} recordings to learn from, {n_test}
(indices 0 to 4 of every speaker and digit) to test on once; every speaker is in both parts. The
network sees the sound as `streamvdib run` does: 39 mel channels of the last 32 frames of 20 ms,
here {shift} frames after the word's end, as Poisson spikes; in training 0 to 6 frames after it.
Data set A has one image per class (the one nearest to the mean of its class; the paper picks by
hand), B a random image of the class for every recording. MSE is between output spike counts over
60 steps and the image, both brought to mean 0 and variance 1 image by image; for B it is, as in
the paper, the lowest to any training image. "Right digit" says how often the image made resembles
the image of the spoken digit more than those of others. "Maps" are images decoded from their own
saved hidden spike maps: what sound could reach at best. The network is 1248-512-196-784, the
paper's 58500-2048-196-784; learning takes 30 steps per recording. Every row was trained on its
date; seconds are of one thread on a machine that others used at the same time."""


def write_audio_report(
    done: Mapping[str, dict[str, Any]],
    made: Mapping[str, Tensor],
    data: AudioData,
    out: Path,
    command: str,
) -> None:
    """Write ``audio-to-image.md``, ``.json`` and the figures."""
    parts = [
        WHAT_IT_IS.format(n_train=len(data.train), n_test=len(data.test), shift=TEST_SHIFT),
        "## Spiking audiocoders and ANN twins\n",
        _table(done),
        "## Images decoded from saved spike maps (Fig. 7a at its best)\n",
        _maps_table(done),
    ]
    figures = _draw(done, made, data, out)
    if made:
        parts.append(
            "## Images that five test recordings of every digit called up (Fig. 8b)\n\nRows: data "
            f"set A's images, then {', '.join(made)}."
        )
    parts += [f"![{name}]({name})" for name in figures]
    write_report(
        out,
        "audio-to-image",
        "Audio to image",
        "\n\n".join(parts),
        {"runs": list(done.values())},
        command,
    )


def _order(name: str) -> tuple[str, int]:
    """By data set and kind, then from many steps or bits to few."""
    kind, _, number = name.rpartition("-")
    return kind, -int(number) if number.isdecimal() else 0


def _table(done: Mapping[str, dict[str, Any]]) -> str:
    rows = []
    for name in sorted(done, key=_order):
        result = done[name]
        if result["kind"] == "maps":
            continue
        settings = result["settings"]
        detail = settings.get("n_map_steps") or settings.get("bits")
        unit = "steps" if result["kind"] == "SNN" else "bits"
        rows.append(
            (
                name,
                result["dataset"],
                result["kind"],
                f"{detail} {unit}",
                f"**{result['mse']:.4f}**",
                f"{PAPER[name]:.3f}" if name in PAPER else "",
                f"{100 * result['accuracy']:.1f} %",
                str(settings["seed"]),
                f"{result['train_seconds']:.0f}",
                result.get("date", ""),
            )
        )
    header = (
        "run",
        "data",
        "kind",
        "hidden state",
        "MSE",
        "paper",
        "right digit",
        "seed",
        "s",
        "date",
    )
    return markdown_table(header, rows)


def _maps_table(done: Mapping[str, dict[str, Any]]) -> str:
    rows = [
        (result["dataset"], n_steps, f"{784 * 8 / (196 * int(n_steps)):.1f}", f"{mse:.4f}")
        for result in done.values()
        if result["kind"] == "maps"
        for n_steps, mse in result["mse"].items()
    ]
    return markdown_table(("data", "T_h", "times smaller than the image", "MSE"), rows)


def _draw(
    done: Mapping[str, dict[str, Any]], made: Mapping[str, Tensor], data: AudioData, out: Path
) -> list[str]:
    names = []
    lines = {}
    for label, start in (("spiking, T_h steps", "A-snn-"), ("ANN with Adam, bits", "A-ann-adam-")):
        points = sorted(
            (int(name.rsplit("-", 1)[1]), result["mse"])
            for name, result in done.items()
            if name.startswith(start)
        )
        if points:
            lines[label] = ([x for x, _ in points], [y for _, y in points])
    if lines:
        draw_lines(out / "figure-7.png", lines, "steps or bits of the hidden state", "MSE (test)")
        names.append("figure-7.png")
    if made:
        first = data.class_images.repeat_interleave(5, dim=0).numpy()
        rows = [first, *(images.numpy() for images in made.values())]
        write_montage(out / "figure-8.png", rows, (28, 28))
        names.append("figure-8.png")
    return names
