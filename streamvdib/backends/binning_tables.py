"""What the compiled binner looks up and writes to: pixels' places, and a map of the active ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamvdib.backends.compilation import Bytes, Integers, Keys
from streamvdib.geometry import Geometry

GROUP_BITS = 512  # eight words, whose eight bytes are looked at as one number
NOWHERE = -(1 << 60)


class ActiveMap(NamedTuple):
    """Which targets are active in the open step. Memory: 9 bits per 8 targets."""

    words: Keys  # input i of a lane is bit i % 64 of the lane's word i / 64, uint64
    touched: Bytes  # 1 where a word may not be zero
    groups: Keys  # the same bytes, eight at a time


def group_count(n_inputs: int) -> int:
    """Groups of eight words that a lane's inputs fill."""
    return -(-n_inputs // GROUP_BITS)


def empty_map(n_lanes: int, n_inputs: int) -> ActiveMap:
    """A map in which nothing is active."""
    groups = np.zeros(n_lanes * group_count(n_inputs), np.uint64)
    return ActiveMap(np.zeros(8 * len(groups), np.uint64), groups.view(np.uint8), groups)


class PixelPlaces(NamedTuple):
    """Places in the map of every pixel, as a sum of a part for its row and one for its column.

    Tiles form a grid, so the place of a pixel in a tile is such a sum: two tables of a few hundred
    numbers instead of one that does not fit the cache. Overlapping tiles give several.
    """

    columns: Integers  # (tiles across a pixel lies in, width), int64; NOWHERE fills up
    rows: Integers  # (tiles down a pixel lies in, height)
    channels: Integers  # added for OFF and ON, (2,): a product would be branched upon, at random
    is_plain: bool  # whether a pixel's place is y * width + x: the whole sensor, one channel


def pixel_places(geometry: Geometry) -> PixelPlaces:
    """The tables of a geometry."""
    channels, height, width = geometry.input_shape
    lane_bits = group_count(channels * height * width) * GROUP_BITS
    tops = sorted({top for top, _ in geometry.corners})
    lefts = sorted({left for _, left in geometry.corners})
    box, area = geometry.crop, geometry.area
    row = (np.arange(geometry.sensor.height) - box.y) // geometry.downsample
    column = (np.arange(geometry.sensor.width) - box.x) // geometry.downsample
    columns = _axis_places(column, area[1], lefts, width, lane_bits, 1)
    rows = _axis_places(row, area[0], tops, height, lane_bits * len(lefts), width)
    across, down = np.arange(len(column)), np.arange(len(row)) * len(column)
    return PixelPlaces(
        columns,
        rows,
        np.array([0, height * width if channels == 2 else 0]),
        channels == 1 and np.array_equal(columns, [across]) and np.array_equal(rows, [down]),
    )


def _axis_places(
    pixels: Integers, n_pixels: int, starts: list[int], size: int, per_tile: int, per_pixel: int
) -> Integers:
    inside = (pixels >= 0) & (pixels < n_pixels)
    within = pixels[:, None] - np.array(starts)
    hit = inside[:, None] & (within >= 0) & (within < size)
    places = np.where(hit, np.arange(len(starts)) * per_tile + within * per_pixel, NOWHERE)
    n_kept = max(1, int(hit.sum(axis=1).max()))
    return np.ascontiguousarray(np.sort(places, axis=1)[:, ::-1][:, :n_kept].T).astype(np.int64)
