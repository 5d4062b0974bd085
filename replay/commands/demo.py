"""``streamvdib demo``: replay digit recordings, decode them, and show what came out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamvdib.engine import Engine, Frame
    from streamvdib.model import Model
    from streamvdib.sinks.rendering import GrayImage

    from ..datasets import Recording

DEMO_RECORDINGS = Path(__file__).resolve().parents[1] / "recordings" / "demo"
SHEET_TIMES_MS = (50, 100, 200, 300)
SCALE = 3
UNKNOWN = -1  # label of a recording that is in no data set


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    from streamvdib.commands.options import add_weights_argument

    parser.add_argument(
        "recordings",
        nargs="?",
        type=Path,
        default=DEMO_RECORDINGS,
        help="a recording, or a folder that `streamvdib datasets` knows (the package's own)",
    )
    parser.add_argument("--model", default="nmnist", help="a name or a file (%(default)s)")
    add_weights_argument(parser)
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="(%(default)s)")
    parser.add_argument("--limit", type=int, default=20, help="recordings shown (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random draws (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Decode each recording as a stream; print a table, write a contact sheet and an animation."""
    import torch

    from streamvdib.commands.options import reduced
    from streamvdib.commands.table import print_table
    from streamvdib.errors import ConfigurationError
    from streamvdib.model import load_model

    torch.set_num_threads(1)
    if arguments.limit < 1:
        raise ConfigurationError(f"--limit must be at least 1; got {arguments.limit}")
    model = reduced(load_model(arguments.model), arguments.weights)
    recordings = find_recordings(arguments.recordings)[: arguments.limit]
    shows = [Show(model, recording, arguments.seed) for recording in recordings]
    sheet, animation = write_pictures(shows, arguments.out)
    print_table(_rows(shows, model), f"{len(shows)} recordings -> {model.name}")
    print(f"contact sheet  {sheet}\nanimation      {animation}")  # noqa: T201 - the command's output
    return 0


def find_recordings(path: Path) -> Sequence[Recording]:
    """Those of a data set's folder, or the one that is given, of which no label is known."""
    from streamvdib.sources import open_source

    from ..datasets import Recording, open_dataset

    if not path.is_file():
        return open_dataset(path).recordings
    source = open_source(path)
    source.close()
    return [Recording(path, UNKNOWN, None, "test", source.sensor_size, 0)]


class Show:
    """One recording, decoded: its frames, and its events drawn for each of them."""

    def __init__(self, model: Model, recording: Recording, seed: int) -> None:
        from streamvdib.engine import Engine
        from streamvdib.geometry import fit_geometry
        from streamvdib.sinks.rendering import EventPicture
        from streamvdib.sources import open_source

        self.recording = recording
        source = open_source(recording.path, sensor_size=recording.sensor_size)
        geometry = fit_geometry(source.sensor_size, model.encoder.input_shape)
        self.engine: Engine = Engine(model, geometry, seed=seed)
        self.engine.warm_up()
        began = time.perf_counter()
        events = EventPicture(model.encoder.input_shape)
        self.engine.observers.append(events.observe)
        self.frames: list[Frame] = []
        self.event_pictures: list[GrayImage] = []
        for packet in source:
            for inputs in self.engine.binners[0].push(packet):
                for frame in self.engine.run(inputs):
                    self.frames.append(frame)
                    self.event_pictures.append(_gray(events.pictures()[0]))
                    events.clear()
        self.seconds = time.perf_counter() - began
        source.close()

    def frame_at(self, time_ms: int) -> Frame:
        """The newest frame at a time since the first step."""
        dt_us = self.engine.model.dt_us
        index = min(len(self.frames), max(1, time_ms * 1000 // dt_us)) - 1
        return self.frames[index]

    def column(self) -> list[GrayImage]:
        """Busiest events, frames as time goes on, and the true picture where it is known."""
        busiest = max(self.event_pictures, key=lambda picture: float(picture.std()))
        frames = [_gray(self.frame_at(time_ms).pixels[0]) for time_ms in SHEET_TIMES_MS]
        target = self.recording.target
        true = [] if target is None else [_gray(target / 255.0)]
        return [_fit(image) for image in (busiest, *frames, *true)]


def write_pictures(shows: list[Show], out: Path) -> tuple[Path, Path]:
    """Write ``contact-sheet.png`` and ``animation.gif``; return where they are."""
    from PIL import Image

    from streamvdib.errors import SinkError
    from streamvdib.sinks import open_sink
    from streamvdib.sinks.rendering import caption, grid, side_by_side

    names = ["events", *(f"{time_ms} ms" for time_ms in SHEET_TIMES_MS), "shown"]
    columns = [show.column() for show in shows]
    side = len(columns[0][0])
    columns.insert(0, [caption(name, side, side) for name in names[: len(columns[0])]])
    rows = [image for row in zip(*columns, strict=True) for image in row]
    sheet, animation = out / "contact-sheet.png", out / "animation.gif"
    try:
        out.mkdir(parents=True, exist_ok=True)
        Image.fromarray(grid(rows, len(columns))).save(sheet)
    except OSError as error:
        raise SinkError(f"the demo requires a folder to write to; {error}") from None
    sink = open_sink(animation, frames_per_second=25)
    for show in shows:
        for frame, events in zip(show.frames, show.event_pictures, strict=True):
            sink.push(frame, side_by_side([_fit(events), _fit(_gray(frame.pixels[0]))]))
    sink.close()
    return sheet, animation


def _rows(shows: list[Show], model: Model) -> list[tuple[str, str]]:
    import numpy as np

    events = sum(show.engine.binners[0].counters.events for show in shows)
    seconds = sum(show.seconds for show in shows)
    steps = sum(show.engine.statistics.steps for show in shows)
    errors = [
        float(np.square(show.frames[-1].pixels[0] - show.recording.target / 255.0).mean())
        for show in shows
        if show.recording.target is not None
    ]
    rows = [
        ("events", f"{events:,}"),
        ("time steps", f"{steps:,} of {model.dt_us} us"),
        ("frames", f"{sum(len(show.frames) for show in shows):,}"),
        ("real-time factor", f"{steps * model.dt_us / 1e6 / seconds:.0f} x"),
    ]
    if errors:
        rows.append(("mean squared error of the last frames", f"{np.mean(errors):.4f}"))
    rows.append(("digits that LeNet reads in the last frames", _read_by_lenet(shows)))
    return rows


def _read_by_lenet(shows: list[Show]) -> str:
    """The digits that a LeNet trained on MNIST reads, and how many of them as they are."""
    import torch

    from ..experiments.lenet import load_lenet, predictions

    images = torch.stack([torch.from_numpy(show.frames[-1].pixels[0]) for show in shows])
    read = predictions(load_lenet(), images).tolist()
    digits = " ".join(map(str, read))
    labels = [show.recording.label for show in shows]
    if UNKNOWN in labels:
        return digits
    right = sum(digit == label for digit, label in zip(read, labels, strict=True))
    return f"{right} of {len(shows)}: {digits}"


def _gray(pixels: Any) -> GrayImage:
    from streamvdib.sinks.rendering import as_gray

    return as_gray(pixels)


def _fit(image: GrayImage) -> GrayImage:
    """Enlarged, with a border where it is smaller than the sensor's picture."""
    import numpy as np

    from streamvdib.sinks.rendering import enlarge

    missing = [max(0, 34 - side) for side in image.shape]
    padded = np.pad(image, [(side // 2, side - side // 2) for side in missing])
    return enlarge(padded, SCALE)
