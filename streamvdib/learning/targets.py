"""What a streaming learner learns towards, by sensor time.

    image:FILE.png      one image for the whole stream, such as the digit that is shown
    label:3             one class of a classifier
    frames              the sensor's own natural frames, as they come with the events (DAVIS)
    FILE.npz            arrays ``t_us`` (rising) and ``targets``: the last one at or before a step

Each is the ``Targets`` of an engine. None is told of the future: a target is that of the last
image that was true at or before the step's end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile, is_zipfile

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from streamvdib.errors import ConfigurationError, TargetError
from streamvdib.events import EventPacket
from streamvdib.geometry import Geometry
from streamvdib.model import Model

Target = npt.NDArray[np.float32]


class PacketWatcher(Protocol):
    """Targets that come with the packets."""

    def watch(self, packet: EventPacket) -> None:
        """Take note of what a packet brings, before the engine advances over it."""


class FixedTarget:
    """The same for the whole stream."""

    def __init__(self, value: Target) -> None:
        self._value = _checked(value)[None]

    def at(self, end_us: int) -> Target | None:
        """See ``Targets``."""
        return self._value


class TimedTargets:
    """Values with time stamps; before the first there is none."""

    def __init__(self, times_us: npt.NDArray[np.integer], values: Target) -> None:
        if len(times_us) != len(values) or len(times_us) == 0:
            raise TargetError(
                "targets must be as many as their times, at least one; "
                f"got {len(values)} targets and {len(times_us)} times"
            )
        if times_us.ndim != 1 or times_us.dtype.kind not in "iu":
            raise TargetError(
                "the times of targets must be one row of whole microseconds; got "
                f"{times_us.dtype} of shape {times_us.shape}. Give t_us as int64."
            )
        if np.any(times_us[1:] < times_us[:-1]):
            raise TargetError("the times of targets must not run back; sort them")
        self._times, self._values = times_us, _checked(values)

    def at(self, end_us: int) -> Target | None:
        """See ``Targets``."""
        index = int(np.searchsorted(self._times, end_us, side="right")) - 1
        return None if index < 0 else self._values[index : index + 1]


class SensorFrames:
    """The sensor's own frames as they come; each is a target until the next, or only once.

    Memory: one image.

    Args:
        output_shape: (height, width) that the model gives for each lane.
        geometry: how the sensor feeds the lanes; frames are cut and tiled as it does. Without
            it a frame is resized as a whole.
        once: hand each frame out for the first step at or after it only.
    """

    def __init__(
        self,
        output_shape: tuple[int, ...],
        geometry: Geometry | None = None,
        *,
        once: bool = True,
    ) -> None:
        if len(output_shape) != 2:
            raise ConfigurationError(
                f"the sensor's frames need a model with images as output; it gives {output_shape}"
            )
        self.output_shape, self.geometry, self.once = output_shape, geometry, once
        self._waiting: list[tuple[int, Target]] = []
        self._last: Target | None = None

    def watch(self, packet: EventPacket) -> None:
        """See ``PacketWatcher``."""
        for image in packet.images:
            lanes = _lanes(image.pixels, self.output_shape, self.geometry)
            self._waiting.append((image.t_us, lanes))

    def at(self, end_us: int) -> Target | None:
        """See ``Targets``."""
        came = False
        while self._waiting and self._waiting[0][0] < end_us:
            self._last, came = self._waiting.pop(0)[1], True
        if self._last is None or (self.once and not came):
            return None
        return self._last


Targets = FixedTarget | TimedTargets | SensorFrames


def open_targets(description: str, model: Model, geometry: Geometry | None = None) -> Targets:
    """Targets from a word of the command line (module docstring).

    Args:
        description: the word.
        model: what should come to give them.
        geometry: of the engine; the sensor's own frames are cut and tiled as it does.

    Raises:
        TargetError: a file cannot be read or its shapes do not fit.
        ConfigurationError: the word cannot be meant.
    """
    shape = tuple(model.decoder_shape.output_shape)
    kind, _, rest = description.partition(":")
    if kind == "image" and rest:
        return FixedTarget(read_image(Path(rest), shape))
    if kind == "label" and rest:
        return FixedTarget(_one_hot(rest, shape))
    if description == "frames":
        return SensorFrames(shape, geometry)
    if description.endswith(".npz"):
        return _read_npz(Path(description), model)
    raise ConfigurationError(
        "targets must be image:FILE, label:N, frames or a FILE.npz with t_us and targets; "
        f"got {description!r}"
    )


def watched(packets: Iterator[EventPacket], targets: object) -> Iterator[EventPacket]:
    """Packets that targets see first, where they come with the packets."""
    watch = getattr(targets, "watch", None)
    for packet in packets:
        if watch is not None:
            watch(packet)
        yield packet


def read_image(path: Path, shape: tuple[int, ...]) -> Target:
    """A picture file as grey values from 0 to 1, resized to (height, width)."""
    if len(shape) != 2:
        raise TargetError(f"an image target needs a model with images as output; it gives {shape}")
    try:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise TargetError(f"{path} must be a picture; {error}") from None
    return _resized(grey, shape)


def _lanes(
    pixels: npt.NDArray[np.uint8], shape: tuple[int, ...], geometry: Geometry | None
) -> Target:
    """What each lane should give for a frame of the whole sensor, (n_lanes, *shape)."""
    if geometry is None:
        return _resized(pixels, shape)[None]
    box = geometry.crop
    if pixels.shape != (geometry.sensor.height, geometry.sensor.width):
        raise TargetError(
            f"the sensor's frames must have its size {geometry.sensor}; "
            f"got {pixels.shape[1]}x{pixels.shape[0]}"
        )
    inside = pixels[box.y : box.y + box.height, box.x : box.x + box.width]
    height, width = (size * geometry.downsample for size in geometry.tile or geometry.area)
    parts = [
        inside[top : top + height, left : left + width]
        for top, left in (
            (row * geometry.downsample, column * geometry.downsample)
            for row, column in geometry.corners
        )
    ]
    return np.stack([_resized(part, shape) for part in parts])


def _resized(pixels: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> Target:
    if pixels.shape != shape:
        height, width = shape
        scaled = Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX)
        pixels = np.asarray(scaled)
    return pixels.astype(np.float32) / np.float32(255.0)


def _one_hot(word: str, shape: tuple[int, ...]) -> Target:
    if not word.isdigit() or len(shape) != 1 or int(word) >= shape[0]:
        raise TargetError(
            f"a label must be a class of the model, below {shape[0]}; got {word!r}"
            if len(shape) == 1
            else f"a label needs a model with classes as output; it gives {shape}"
        )
    value = np.zeros(shape, np.float32)
    value[int(word)] = 1.0
    return value


def _read_npz(path: Path, model: Model) -> TimedTargets:
    shape, likelihood = tuple(model.decoder_shape.output_shape), model.likelihood.name
    if path.is_file() and not is_zipfile(path):
        raise TargetError(f"{path} must be an npz file with t_us and targets; it is no archive")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            times, values = arrays["t_us"], np.asarray(arrays["targets"], np.float32)
    except (OSError, KeyError, ValueError, BadZipFile, zlib.error) as error:
        raise TargetError(f"{path} must be an npz file with t_us and targets; {error}") from None
    if values.shape[1:] != shape:
        wanted = ", ".join(map(str, ("n", *shape)))
        raise TargetError(f"targets must have shape ({wanted}); {path} has {values.shape}")
    try:
        targets = TimedTargets(times, values)
    except TargetError as error:
        raise TargetError(f"{path}: {error}") from None
    if likelihood != "gaussian" and not (values.min() >= 0.0 and values.max() <= 1.0):
        raise TargetError(
            f"targets of a {likelihood} decoder must lie from 0 to 1; {path} has "
            f"{values.min():g} to {values.max():g}"
        )
    return targets


def _checked(values: Target) -> Target:
    if not np.isfinite(values).all():
        raise TargetError("targets must be finite; got nan or inf")
    return np.asarray(values, np.float32)
