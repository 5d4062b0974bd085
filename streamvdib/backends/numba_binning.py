"""Binning as one compiled pass: events into ascending lists of active inputs, step by step.

The active inputs of a step are bits of a map, so repeated events cost nothing more, and its set
bits come out in ascending order. A second map says which words of the first are not zero, so a
quiet step costs what its events cost and not what the sensor has pixels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.extending import intrinsic

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Integers,
    Keys,
    Size,
    compiled,
    part,
    unsigned,
)
from streamvdib.geometry import Geometry

SIX, LOW_SIX, EIGHT = unsigned(6), unsigned(63), unsigned(8)
NOWHERE = -(1 << 60)
SLACK = 8  # indices are written eight at a time
numba_intrinsic: Any = intrinsic


class ActiveMap(NamedTuple):
    """Which targets are active in the open step. Memory: one bit per target and 1/64 more."""

    words: Keys  # input i of a lane is bit i % 64 of the lane's word i / 64, uint64
    touched: Keys  # bit w % 64 of word w / 64: whether word w is not zero
    lanes: Integers  # the lane of every word, int64
    bases: Integers  # the input of the first bit of every word, int32


def empty_map(n_lanes: int, n_inputs: int) -> ActiveMap:
    """A map in which nothing is active."""
    lane_words = (n_inputs + 63) // 64
    n_words = n_lanes * lane_words
    return ActiveMap(
        np.zeros(n_words, np.uint64),
        np.zeros((n_words + 63) // 64, np.uint64),
        np.repeat(np.arange(n_lanes), lane_words),
        np.tile(np.arange(lane_words, dtype=np.int32) * np.int32(64), n_lanes),
    )


class PixelPlaces(NamedTuple):
    """Places in the map of every pixel, as a sum of a part for its row and one for its column.

    Tiles form a grid, so the place of a pixel in a tile is such a sum: two tables of a few hundred
    numbers instead of one that does not fit the cache. Overlapping tiles give several.
    """

    columns: Integers  # (width, tiles across a pixel lies in), int64; NOWHERE fills up
    rows: Integers  # (height, tiles down a pixel lies in)
    polarity: int  # added for ON


def pixel_places(geometry: Geometry) -> PixelPlaces:
    """The tables of a geometry."""
    channels, height, width = geometry.input_shape
    lane_bits = -(-channels * height * width // 64) * 64
    tops = sorted({top for top, _ in geometry.corners})
    lefts = sorted({left for _, left in geometry.corners})
    box, area = geometry.crop, geometry.area
    row = (np.arange(geometry.sensor.height) - box.y) // geometry.downsample
    column = (np.arange(geometry.sensor.width) - box.x) // geometry.downsample
    return PixelPlaces(
        _axis_places(column, area[1], lefts, width, lane_bits, 1),
        _axis_places(row, area[0], tops, height, lane_bits * len(lefts), width),
        height * width if channels == 2 else 0,
    )


def _axis_places(
    pixels: Integers, n_pixels: int, starts: list[int], size: int, per_tile: int, per_pixel: int
) -> Integers:
    inside = (pixels >= 0) & (pixels < n_pixels)
    within = pixels[:, None] - np.array(starts)
    hit = inside[:, None] & (within >= 0) & (within < size)
    places = np.where(hit, np.arange(len(starts)) * per_tile + within * per_pixel, NOWHERE)
    n_kept = max(1, int(hit.sum(axis=1).max()))
    return np.ascontiguousarray(np.sort(places, axis=1)[:, ::-1][:, :n_kept]).astype(np.int64)


def map_places(targets: Integers, n_inputs: int) -> Integers:
    """Targets ``lane * n_inputs + input`` as places in the map."""
    lane, index = np.divmod(targets, n_inputs)
    places: Integers = lane * (-(-n_inputs // 64) * 64) + index
    return places


@compiled
def are_ordinary(events: Any, first_us: int, max_gap_us: int, width: int, height: int) -> bool:
    """Whether events run forwards from ``first_us`` without a long gap, all on the sensor."""
    before = first_us
    for index in range(len(events)):
        event = events[index]
        ahead = event.t_us - before
        if ahead < 0 or ahead > max_gap_us or event.x >= width or event.y >= height:
            return False
        before = event.t_us
    return True


@compiled
def bin_events(
    events: Any,
    first: int,
    start_us: int,
    dt_us: int,
    n_steps: int,
    pixels: PixelPlaces,
    n_lanes: int,
    active: ActiveMap,
    offsets: Integers,
    indices: Integers,
) -> tuple[int, int, int]:
    """Events into lists of active inputs.

    Args:
        events: an array of ``EVENT_DTYPE``.
        first: the first of them to take.
        start_us: time at which the first step begins.
        dt_us: length of a step.
        n_steps: steps to complete; what comes after the last of them stays active.
        pixels: of the geometry.
        n_lanes: number of lanes.
        active: what is already active in the first step; then in the step that stays open.
        offsets: the result, (n_steps * n_lanes + 1,).
        indices: the result; ``SLACK`` longer than needed at most.

    Returns:
        The first event left, how many indices were written, and how many events lay outside
        the crop. Events are left where they are not ordinary (see ``are_ordinary``), or where
        they belong to a step after the one that stays open.
    """
    n_outside, cursor, index = 0, 0, first
    offsets[0] = 0
    for step in range(n_steps):
        index, missed = _mark(events, index, start_us + step * dt_us, dt_us, pixels, active)
        n_outside += missed
        cursor = _emit(active, n_lanes, step, offsets, indices, cursor)
    index, missed = _mark(events, index, start_us + n_steps * dt_us, dt_us, pixels, active)
    return index, cursor, n_outside + missed


@compiled
def mark_places(places: Integers, active: ActiveMap) -> None:
    """Mark places of the map as active."""
    for index in range(len(places)):
        _set(unsigned(places[index]), active)


@compiled
def take_targets(active: ActiveMap, n_inputs: int, taken: Integers) -> Size:
    """What is active as targets ``lane * n_inputs + input``, cleared from the map; how many."""
    place = ZERO
    for word in range(unsigned(len(active.words))):
        if active.words[word] == ZERO:
            continue
        base = active.lanes[word] * n_inputs + active.bases[word]
        place = _write_bits(active.words[word], base, taken, place)
        active.words[word] = ZERO
    for group in range(len(active.touched)):
        active.touched[group] = ZERO
    return np.int64(place)


@part
def _mark(
    events: Any,
    index: int,
    start_us: int,
    dt_us: int,
    pixels: PixelPlaces,
    active: ActiveMap,
) -> tuple[int, int]:
    """Mark events up to the first that is not of this step; that one, and how many lay outside."""
    columns, rows, n_outside, n_events = pixels.columns, pixels.rows, 0, len(events)
    width, height = unsigned(len(columns)), unsigned(len(rows))
    n_across, n_down, length = unsigned(columns.shape[1]), unsigned(rows.shape[1]), unsigned(dt_us)
    while index < n_events:
        event = events[index]
        x, y = unsigned(event.x), unsigned(event.y)
        if unsigned(event.t_us - start_us) >= length or x >= width or y >= height:
            break
        polarity = np.int64(event.on) * pixels.polarity
        place = rows[y, ZERO] + columns[x, ZERO] + polarity
        if place < 0:
            n_outside += 1
        else:
            _set(unsigned(place), active)
            for more in range(ONE, n_across * n_down):
                place = rows[y, more // n_across] + columns[x, more % n_across] + polarity
                if place >= 0:
                    _set(unsigned(place), active)
        index += 1
    return index, n_outside


@part
def _set(target: Size, active: ActiveMap) -> None:
    word = target >> SIX
    active.words[word] |= ONE << (target & LOW_SIX)
    active.touched[word >> SIX] |= ONE << (word & LOW_SIX)


@part
def _emit(
    active: ActiveMap, n_lanes: int, step: int, offsets: Integers, indices: Integers, cursor: int
) -> Size:
    """Write the active inputs of a step lane by lane, and clear the map."""
    lane, place, row = 0, unsigned(cursor), step * n_lanes
    for group in range(unsigned(len(active.touched))):
        touched = active.touched[group]
        active.touched[group] = ZERO
        while touched != ZERO:
            word = (group << SIX) + trailing_zeros(touched)
            touched &= touched - ONE
            for ended in range(lane, active.lanes[word]):
                offsets[row + ended + 1] = np.int64(place)
            lane = active.lanes[word]
            place = _write_bits(active.words[word], active.bases[word], indices, place)
            active.words[word] = ZERO
    for ended in range(lane, n_lanes):
        offsets[row + ended + 1] = np.int64(place)
    return np.int64(place)


@part
def _write_bits(bits: Size, base: int, indices: Integers, place: Size) -> Size:
    """Numbers of the set bits, eight at a time whether or not there are as many.

    A loop over the bits would be mispredicted at the end of every word.
    """
    end = place + set_bits(bits)
    while place < end:
        for i in range(EIGHT):
            indices[place + i] = base + np.int64(trailing_zeros(bits))
            bits &= bits - ONE
        place += EIGHT
    return end


@numba_intrinsic  # type: ignore[untyped-decorator]
def trailing_zeros(typing_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba's signature
    """How many zeros follow the last one bit of a uint64; 64 for zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return word(word), generate


@numba_intrinsic  # type: ignore[untyped-decorator]
def set_bits(typing_context: Any, word: Any) -> Any:  # noqa: ARG001 - numba's signature
    """How many bits of a uint64 are one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return word(word), generate
