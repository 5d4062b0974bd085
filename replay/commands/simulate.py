"""``streamvdib simulate``: make recordings of digits, compare or fit them with real ones."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from streamvdib.events import EventArray, SensorSize

    from ..datasets import Recording
    from ..simulation.recordings import Shown

    Simulate = Callable[[npt.NDArray[np.uint8], int], EventArray]

KINDS = ("nmnist", "mnist-dvs", "frames")
DRAWN = "drawn"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("kind", choices=KINDS, help="what to imitate; frames: a film of your own")
    parser.add_argument(
        "--images",
        default=DRAWN,
        help="a folder with MNIST's IDX files, or 'drawn': digits that the project draws (drawn); "
        "for frames a folder of images",
    )
    parser.add_argument("--part", choices=("train", "t10k"), default="train", help="of MNIST")
    parser.add_argument("--first", type=int, default=0, help="first image (%(default)s)")
    parser.add_argument("--n", type=int, default=20, help="recordings (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (%(default)s)")
    parser.add_argument("--split", default="train", choices=("train", "validation", "test"))
    parser.add_argument("--out", type=Path, help="an empty folder; for frames a file to write")
    parser.add_argument("--fps", type=float, default=100.0, help="of frames (%(default)s)")
    parser.add_argument(
        "--compare",
        type=Path,
        metavar="REAL",
        help="a data set with target images: simulate its first --n recordings and compare; for "
        "mnist-dvs a file, any recording of a DVS128: compare what does not depend on the scene",
    )
    parser.add_argument(
        "--fit",
        type=Path,
        metavar="REAL",
        help="N-MNIST with MNIST: fit the simulation to its first --n recordings (nmnist only)",
    )
    parser.add_argument("--trials", type=int, default=1000, help="of --fit (%(default)s)")


def execute(arguments: argparse.Namespace) -> int:
    """Write recordings, print a comparison, print fitted constants."""
    from streamvdib.errors import ConfigurationError

    if arguments.n < 1 or arguments.first < 0:
        raise ConfigurationError("--n must be at least 1 and --first not negative")
    if arguments.out is None and arguments.compare is None and arguments.fit is None:
        raise ConfigurationError(
            "simulate must write, compare or fit: give --out DIR, --compare REAL or --fit REAL"
        )
    if arguments.kind == "frames":
        return _film(arguments)
    simulate, size = _simulator(arguments.kind)
    if arguments.out is not None:
        _write(arguments, simulate, size)
    if arguments.compare is not None and arguments.compare.is_file():
        _compare_sensor(arguments, simulate, size)
    elif arguments.compare is not None:
        _compare(arguments, simulate, size)
    if arguments.fit is not None:
        _fit(arguments)
    return 0


def _film(arguments: argparse.Namespace) -> int:
    """A folder of images into one file of events."""
    from rich.progress import track

    from streamvdib.commands.table import print_table
    from streamvdib.errors import ConfigurationError

    from ..simulation.image_folder import ImageFolder
    from ..writers import open_writer

    if arguments.out is None or arguments.images == DRAWN:
        raise ConfigurationError("frames requires --images FOLDER and --out FILE")
    film = ImageFolder(Path(arguments.images))
    packets = film.packets(arguments.fps, seed=arguments.seed)
    writer = open_writer(arguments.out, film.sensor_size)
    try:
        for packet in track(packets, "simulating", len(film.paths), transient=True):
            writer.write(packet)
    finally:
        writer.close()
    rows = [("images", f"{len(film.paths):,}"), ("sensor", str(film.sensor_size))]
    print_table([*rows, ("events", f"{writer.n_events:,}")], str(arguments.out))
    return 0


def _simulator(kind: str) -> tuple[Simulate, SensorSize]:
    if kind == "nmnist":
        from ..simulation.nmnist import NMNIST_SIZE, simulate_nmnist

        return simulate_nmnist, NMNIST_SIZE
    from ..simulation.mnist_dvs import DVS128_SIZE, simulate_mnist_dvs

    return simulate_mnist_dvs, DVS128_SIZE


def _write(arguments: argparse.Namespace, simulate: Simulate, size: SensorSize) -> None:
    from rich.progress import track

    from streamvdib.commands.table import print_table

    from ..datasets.dataset import About
    from ..simulation.recordings import write_recordings

    drawn = arguments.images == DRAWN
    origin = "drawn by streamvdib" if drawn else f"MNIST {arguments.part} images"
    command = (
        f"streamvdib simulate {arguments.kind} --images {DRAWN if drawn else 'MNIST'} "
        f"--part {arguments.part} --first {arguments.first} --n {arguments.n} "
        f"--seed {arguments.seed} --split {arguments.split} --out DIR"
    )
    about = About(
        name=f"simulated {arguments.kind} recordings of digits {origin}",
        licence="Apache-2.0" if drawn else "CC BY-SA 3.0, as MNIST",
        source="simulated by streamvdib; no sensor was involved",
        how_to_get=command,
    )
    recordings = write_recordings(
        arguments.out, _images(arguments), simulate, size, about,
        seed=arguments.seed, split=arguments.split,
    )  # fmt: skip
    n_events = sum(
        len(events) for events in track(recordings, "simulating", arguments.n, transient=True)
    )
    rows = [("recordings", f"{arguments.n:,}"), ("events", f"{n_events:,}")]
    print_table([*rows, ("folder", str(arguments.out))], about.name)


def _images(arguments: argparse.Namespace) -> list[Shown]:
    from streamvdib.errors import ConfigurationError

    from ..datasets.idx import find_idx, read_images, read_labels
    from ..simulation.handwriting import draw_digit
    from ..simulation.recordings import Shown

    numbers = range(arguments.first, arguments.first + arguments.n)
    if arguments.images == DRAWN:
        return [Shown(draw_digit(k % 10, k // 10), k % 10, k) for k in numbers]
    images = read_images(find_idx(arguments.images, f"{arguments.part}-images-idx3-ubyte"))
    labels = read_labels(find_idx(arguments.images, f"{arguments.part}-labels-idx1-ubyte"))
    if numbers.stop > min(len(images), len(labels)):
        raise ConfigurationError(
            f"--first and --n must stay below {len(images)} images; got {numbers.stop}"
        )
    return [Shown(images[k], int(labels[k]), k) for k in numbers]


def _real(
    folder: Path, first: int, n: int, size: SensorSize
) -> list[tuple[Recording, npt.NDArray[np.uint8]]]:
    """Real recordings with the images they show."""
    from streamvdib.errors import ConfigurationError

    from ..datasets import open_dataset

    real = open_dataset(folder)
    chosen = list(real.recordings)[first : first + n]
    shown = [(one, one.target) for one in chosen if one.target is not None]
    if not shown or real.sensor_size != size:
        raise ConfigurationError(
            f"real recordings must be of a {size} sensor with target images; {folder} has "
            f"{real.sensor_size} and {len(shown)} targets. {' '.join(real.notes)}"
        )
    return shown


def _compare(arguments: argparse.Namespace, simulate: Simulate, size: SensorSize) -> None:
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from ..simulation.comparison import compare

    shown = _real(arguments.compare, arguments.first, arguments.n, size)
    steps = 31 if arguments.kind == "nmnist" else 200
    pairs = (
        (one.read(), simulate(target, arguments.seed + number))
        for number, (one, target) in enumerate(track(shown, "comparing", transient=True))
    )
    table = Table(title=f"{len(shown)} recordings of {arguments.compare} and simulated ones")
    for heading in ("", "real", "simulated"):
        table.add_column(heading)
    for row in compare(pairs, size, steps).rows():
        table.add_row(*row)
    Console().print(table)


def _compare_sensor(arguments: argparse.Namespace, simulate: Simulate, size: SensorSize) -> None:
    """One real recording of anything beside --n simulated digits."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from streamvdib.errors import ConfigurationError
    from streamvdib.sources import open_source

    from ..simulation.sensor_figures import SensorFigures

    if arguments.kind != "mnist-dvs":
        raise ConfigurationError(
            f"nmnist must be compared with a data set; {arguments.compare} is a file"
        )
    source = open_source(arguments.compare)
    if source.sensor_size != size:
        raise ConfigurationError(
            f"a file to compare with must be a recording of a {size} sensor; {arguments.compare} "
            f"has {source.sensor_size}. Take one of a DVS128"
        )
    real, simulated = SensorFigures(size), SensorFigures(size)
    real.add(np.concatenate([packet.events for packet in source]))
    for shown in track(_images(arguments), "comparing", transient=True):
        simulated.add(simulate(shown.image, arguments.seed + shown.index))
    table = Table(title=f"{arguments.compare} and {arguments.n} simulated digits")
    for heading in ("", "real", "simulated"):
        table.add_column(heading)
    for (name, one), (_, other) in zip(real.rows(), simulated.rows(), strict=True):
        table.add_row(name, one, other)
    Console().print(table)


def _fit(arguments: argparse.Namespace) -> None:
    from rich.progress import track

    from streamvdib.errors import ConfigurationError

    from ..simulation.fitting import constants_of, fit
    from ..simulation.nmnist import NMNIST_SIZE
    from ..simulation.nmnist_fit import FITTED

    if arguments.kind != "nmnist" or arguments.trials < 1:
        raise ConfigurationError("--fit is for nmnist, with at least one of --trials")
    shown = _real(arguments.fit, arguments.first, arguments.n, NMNIST_SIZE)
    pairs = [(target, one.read()) for one, target in shown]
    trials = fit(pairs, FITTED, arguments.trials, arguments.seed)
    last = next(trials)
    try:
        for last in track(trials, "fitting", arguments.trials - 1, transient=True):  # noqa: B007
            pass
    except KeyboardInterrupt:  # what was found so far is wanted
        pass
    print(f"# score {last.score:.4f} after {last.number + 1} trials on {len(pairs)} recordings")  # noqa: T201 - the command's own output
    print(constants_of(last.setup))  # noqa: T201 - the command's own output
