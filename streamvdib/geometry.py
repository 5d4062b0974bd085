"""Where sensor and network meet: crop, downsample, tile, and the channels of polarity.

Every pixel and polarity is looked up once in a table of targets (lane, input line); tiles that
overlap give a pixel several. What comes back from the decoder is put together again, blended
where tiles overlap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamvdib.connections import Shape
from streamvdib.errors import GeometryError
from streamvdib.events import SensorSize

Images = npt.NDArray[np.float32]


class Box(NamedTuple):
    """A rectangle of pixels: its top left corner and its size."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Geometry:
    """How a sensor's pixels become the lanes and input lines of a network.

    The crop is taken first, then ``downsample`` x ``downsample`` pixels become one, then the
    result is cut into tiles. The last row and column of tiles are moved inwards, so that every
    pixel of the crop is covered.

    Memory: 2 * width * height * (tiles per pixel) * 4 bytes.
    """

    sensor: SensorSize
    crop: Box
    downsample: int = 1
    tile: tuple[int, int] | None = None  # (height, width)
    overlap: int = 0  # pixels that neighbouring tiles share, after downsampling
    polarity_channels: int = 2  # 2: ON and OFF apart; 1: both the same

    def __post_init__(self) -> None:
        box, sensor = self.crop, self.sensor
        inside = box.x >= 0 and box.y >= 0 and box.width > 0 and box.height > 0
        if not inside or box.x + box.width > sensor.width or box.y + box.height > sensor.height:
            raise GeometryError(
                f"a crop must lie on the sensor of {sensor} pixels; "
                f"got {box.width}x{box.height}+{box.x}+{box.y}"
            )
        if self.polarity_channels not in (1, 2):
            raise GeometryError(f"polarity takes 1 or 2 channels; got {self.polarity_channels}")
        if self.downsample < 1 or min(self.area) < 1:
            raise GeometryError(
                f"downsampling must leave at least one pixel; got {self.downsample} on {box}"
            )
        if self.tile is not None:
            self._check_tiles(self.tile)

    def _check_tiles(self, tile: tuple[int, int]) -> None:
        if tile[0] > self.area[0] or tile[1] > self.area[1]:
            raise GeometryError(
                f"a tile must fit the area of {self.area[1]}x{self.area[0]}; "
                f"got {tile[1]}x{tile[0]}. Use a larger crop or less downsampling."
            )
        if not 0 <= self.overlap < min(tile):
            raise GeometryError(f"tiles of {tile} can overlap by less; got {self.overlap}")

    @property
    def area(self) -> tuple[int, int]:
        """(height, width) after crop and downsampling."""
        return self.crop.height // self.downsample, self.crop.width // self.downsample

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of what one lane sees."""
        return (self.polarity_channels, *(self.tile or self.area))

    @cached_property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Top left corner (row, column) of every tile, in lanes' order."""
        if self.tile is None:
            return ((0, 0),)
        rows = _starts(self.area[0], self.tile[0], self.overlap)
        columns = _starts(self.area[1], self.tile[1], self.overlap)
        return tuple((row, column) for row in rows for column in columns)

    @property
    def n_lanes(self) -> int:
        """Tiles; 1 without tiling."""
        return len(self.corners)

    @cached_property
    def targets(self) -> npt.NDArray[np.int32]:
        """Targets of every pixel, (2 * height * width, most tiles per pixel).

        Row ``(on * height + y) * width + x`` lists ``lane * n_inputs + input``; -1 fills up.
        """
        sensor, box = self.sensor, self.crop
        tile = self.tile or self.area
        n_inputs = int(np.prod(self.input_shape))
        on, y, x = np.indices((2, sensor.height, sensor.width))
        row, column = (y - box.y) // self.downsample, (x - box.x) // self.downsample
        inside = (y >= box.y) & (x >= box.x) & (row < self.area[0]) & (column < self.area[1])
        channel = on if self.polarity_channels == 2 else np.zeros_like(on)
        layers = []
        for lane, (top, left) in enumerate(self.corners):
            r, c = row - top, column - left
            hit = inside & (r >= 0) & (r < tile[0]) & (c >= 0) & (c < tile[1])
            target = lane * n_inputs + (channel * tile[0] + r) * tile[1] + c
            layers.append(np.where(hit, target, -1).reshape(-1))
        return _compact(layers)

    def assemble(self, frames: Images) -> Images:
        """One image from the decoded tiles, blended linearly where they overlap.

        Args:
            frames: (n_lanes, height, width), of any size: decoders may change the scale.

        Returns:
            (height, width).
        """
        if self.tile is None:
            single: Images = frames[0]
            return single
        height, width = frames.shape[1:]
        tops, rows = _ramps(self.corners, 0, height, self.tile, self.overlap)
        lefts, columns = _ramps(self.corners, 1, width, self.tile, self.overlap)
        if self.overlap == 0 and _are_adjacent(tops, height) and _are_adjacent(lefts, width):
            tiles = frames.reshape(len(tops), len(lefts), height, width)
            size = (len(tops) * height, len(lefts) * width)
            return tiles.transpose(0, 2, 1, 3).reshape(size).astype(np.float32, copy=False)
        weighted = (frames * np.outer(rows, columns)).reshape(-1, len(lefts), height, width)
        strips = np.zeros((len(tops), height, lefts[-1] + width), dtype=np.float32)
        for column, left in enumerate(lefts):
            strips[:, :, left : left + width] += weighted[:, column]
        image = np.zeros((tops[-1] + height, lefts[-1] + width), dtype=np.float32)
        for strip, top in zip(strips, tops, strict=True):
            image[top : top + height] += strip
        total = np.outer(_overlaid(tops, rows), _overlaid(lefts, columns))
        return (image / np.maximum(total, np.finfo(np.float32).tiny)).astype(np.float32)


def _ramps(
    corners: tuple[tuple[int, int], ...], axis: int, size: int, tile: tuple[int, int], overlap: int
) -> tuple[list[int], Images]:
    """Where decoded tiles of ``size`` pixels begin along an axis, and their pixels' weights."""
    factor = size / tile[axis]
    starts = [round(start * factor) for start in sorted({corner[axis] for corner in corners})]
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 1
    return starts, np.minimum(edge / max(1.0, overlap * factor), 1.0).astype(np.float32)


def _are_adjacent(starts: list[int], size: int) -> bool:
    """Whether tiles follow one another without overlap or gap."""
    return starts == list(range(0, len(starts) * size, size))


def _overlaid(starts: list[int], weights: Images) -> Images:
    """The weights of all tiles along one axis, added up."""
    total = np.zeros(starts[-1] + len(weights), dtype=np.float32)
    for start in starts:
        total[start : start + len(weights)] += weights
    return total


def fit_geometry(
    sensor: SensorSize,
    input_shape: Shape,
    *,
    crop: str | None = None,
    downsample: int = 1,
    tile: bool = False,
    overlap: int = 0,
) -> Geometry:
    """The geometry that feeds this sensor to a model of this input shape.

    Args:
        sensor: pixels of the source.
        input_shape: (channels, height, width) of the model.
        crop: ``WIDTHxHEIGHT`` (centred) or ``WIDTHxHEIGHT+X+Y``.
        downsample: pixels across that become one.
        tile: cut the area into tiles of the model's size.
        overlap: pixels that neighbouring tiles share.

    Raises:
        GeometryError: they do not fit; the message names an option that does.
    """
    if len(input_shape) != 3:
        raise GeometryError(
            f"a model of events must take (channels, height, width); this one takes {input_shape}"
        )
    channels, height, width = input_shape
    geometry = Geometry(
        sensor,
        parse_crop(crop, sensor),
        downsample,
        (height, width) if tile else None,
        overlap,
        channels,
    )
    if geometry.input_shape != tuple(input_shape):
        raise GeometryError(
            f"the model takes {width}x{height} pixels; the source gives "
            f"{geometry.area[1]}x{geometry.area[0]}. {_advice(sensor, height, width)}"
        )
    return geometry


def area_of(sensor: SensorSize, crop: str | None, downsample: int) -> tuple[int, int]:
    """(height, width) that is left of a sensor after crop and downsampling."""
    return Geometry(sensor, parse_crop(crop, sensor), downsample).area


def parse_crop(text: str | None, sensor: SensorSize) -> Box:
    """``WIDTHxHEIGHT[+X+Y]`` as a box; centred without a corner, all of the sensor for None."""
    if text is None:
        return Box(0, 0, sensor.width, sensor.height)
    match = re.fullmatch(r"(\d+)x(\d+)(?:\+(\d+)\+(\d+))?", text)
    if match is None:
        raise GeometryError(f"a crop must read WIDTHxHEIGHT or WIDTHxHEIGHT+X+Y; got {text!r}")
    width, height = int(match[1]), int(match[2])
    if match[3] is None:
        return Box((sensor.width - width) // 2, (sensor.height - height) // 2, width, height)
    return Box(int(match[3]), int(match[4]), width, height)


def _advice(sensor: SensorSize, height: int, width: int) -> str:
    """An option that makes the sensor fit."""
    if sensor.width < width or sensor.height < height:
        return f"Use a model made for a sensor of {sensor} pixels or smaller."
    factor = min(sensor.width // width, sensor.height // height)
    advice = f"Use --crop {width}x{height} (its centre) or --tile (all of it in tiles)"
    if factor > 1:
        advice += f", or --crop {width * factor}x{height * factor} --downsample {factor}"
    return advice + "."


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side; the last ends at the edge."""
    starts = list(range(0, length - tile + 1, tile - overlap))
    if starts[-1] + tile < length:
        starts.append(length - tile)
    return starts


def _compact(layers: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int32]:
    """Move every row's targets to the front and cut the columns that nobody uses."""
    n_targets = np.zeros(len(layers[0]), dtype=np.int64)
    for layer in layers:
        n_targets += layer >= 0
    table = np.full((len(layers[0]), max(1, int(n_targets.max()))), -1, dtype=np.int32)
    filled = np.zeros(len(layers[0]), dtype=np.int64)
    for layer in layers:
        rows = np.flatnonzero(layer >= 0)
        table[rows, filled[rows]] = layer[rows]
        filled[rows] += 1
    return table
