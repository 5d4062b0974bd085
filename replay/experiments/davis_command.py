"""``streamvdib reproduce davis``: a DAVIS recording, looped, that teaches itself; four methods."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from streamvdib.commands.options import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The experiment's arguments."""
    parser.add_argument("--recording", type=Path, required=True, help="AEDAT4 with APS frames")
    parser.add_argument("--out", type=Path, default=Path("runs/davis"))
    parser.add_argument("--loops", type=counted, default=10)
    parser.add_argument("--steps-per-frame", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=counted, default=1, help="of the processor (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Stream the recording, score every frame before it is shown, learn, report."""
    import torch
    from rich.console import Console

    from streamvdib.learning.fused import keep_freed_memory

    from .davis import Baselines, read_davis, score, summarize, teach

    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    davis = read_davis(arguments.recording, arguments.steps_per_frame)
    baselines, errors, last = Baselines(), [], None
    n_intervals = len(davis.intervals)
    lessons = teach(
        davis, loops=arguments.loops, channels=2, learning_rate=3e-2, decoder_learning_rate=3e-2,
        beta=1e-5, prior_rate=0.01, seed=arguments.seed,
    )  # fmt: skip
    for number, (interval, estimate, seconds) in enumerate(lessons):
        guesses = {"VDIB": estimate} | baselines.estimates(interval)
        found: dict[str, Any] = {name: score(image, interval) for name, image in guesses.items()}
        found |= {"loop": number // n_intervals, "n_seen": int(interval.seen.sum())}
        errors.append(found | {"seconds": seconds})
        baselines.show(interval)
        last = (interval, guesses)
        if (number + 1) % n_intervals == 0:
            now = summarize(errors[-n_intervals:])["VDIB"]
            Console().print(f"loop {number // n_intervals + 1}: {now['near_events']:.4f}")
    command = (
        f"streamvdib reproduce davis --recording FILE.aedat4 --loops {arguments.loops} "
        f"--steps-per-frame {arguments.steps_per_frame} --seed {arguments.seed}"
    )
    assert last is not None
    _report(arguments.out, errors, n_intervals, baselines.contrast, command, *last)
    return 0


def _report(
    out: Path, errors: list[dict[str, Any]], n_intervals: int, contrast: float, command: str,
    interval: Any, guesses: dict[str, Any],
) -> None:  # fmt: skip
    import numpy as np

    from .davis import summarize
    from .figures import draw_lines
    from .reports import markdown_table, write_report

    loops = [
        summarize(errors[start : start + n_intervals])
        for start in range(0, len(errors), n_intervals)
    ]
    whole = summarize(errors)
    rows = [
        [name, f"{whole[name]['all']:.6f}", f"{whole[name]['near_events']:.4f}",
         f"{loops[0][name]['near_events']:.4f}", f"{loops[-1][name]['near_events']:.4f}",
         f"{whole[name]['event_pixels']:.4f}"]
        for name in whole
    ]  # fmt: skip
    header = ["method", "MSE, all pixels", "MSE near events", "near events, first loop",
              "near events, last loop", "MSE on event pixels"]  # fmt: skip
    seconds = np.array([e["seconds"] for e in errors])
    body = (
        f"{len(loops)} loops over {n_intervals} intervals between APS frames, one stream. Every "
        "frame is estimated from the frame before it and the events since, scored, and only then "
        "shown to learn from; intensities from 0 to 1. Near events: pixels in whose 3 x 3 "
        "neighbourhood an event of the interval fell, mean over frames of each frame's mean. Event "
        "pixels: those on which one fell, pooled over frames. "
        f"The integrator's c ends at {contrast:.3f}.\n\n"
        f"{markdown_table(header, rows)}\n\n"
        f"Decoding and learning took {1000 * np.median(seconds):.0f} ms per frame of 40 ms "
        f"(median; 99th percentile {1000 * np.percentile(seconds, 99):.0f} ms) on one CPU core."
        "\n\n![curve](davis.png)\n\n![last frame](davis-frame.png)"
    )
    numbers = {"whole": whole, "loops": loops, "contrast": contrast,
               "milliseconds_per_frame": float(1000 * np.median(seconds))}  # fmt: skip
    write_report(out, "davis", "A DAVIS camera that teaches itself", body, numbers, command)
    ends = list(range(1, len(loops) + 1))
    lines = {name: (ends, [loop[name]["near_events"] for loop in loops]) for name in whole}
    draw_lines(out / "davis.png", lines, "loop", "MSE near events")
    _draw_frame(out / "davis-frame.png", interval, guesses)


def _draw_frame(path: Path, interval: Any, guesses: dict[str, Any]) -> None:
    """The last frame, true and estimated, and the events that led to it."""
    from .figures import pyplot

    plt = pyplot()
    shown = {"true": interval.after, "events": 0.5 + interval.counts / 8} | guesses
    figure, axes = plt.subplots(2, 3, figsize=(12, 6.4))
    for axis, (name, image) in zip(axes.flat, shown.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=9)
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    plt.close(figure)
