"""Binning as one compiled pass: events into ascending lists of active inputs, step by step.

The active inputs of a step are bits of a map, so repeated events cost nothing more, and its set
bits come out in ascending order. A byte for every word of the map says whether the word is not
zero, so a quiet step costs what its events cost and not what the sensor has pixels. It is a byte
and not a bit because a byte is stored without being read first: neighbouring events would wait
for one another's bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from streamvdib.backends.binning_tables import GROUP_BITS
from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Bytes,
    Integers,
    Keys,
    Size,
    compiled,
    inlined,
    part,
    set_bits,
    trailing_zeros,
    unsigned,
)

THREE, SIX, LOW_SIX, EIGHT = unsigned(3), unsigned(6), unsigned(63), unsigned(8)
FOUR = unsigned(4)
ALL_TOUCHED = unsigned(0x0101010101010101)
SLACK = 8  # indices are written four at a time


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
    columns: Integers,
    rows: Integers,
    channels: Integers,
    is_plain: bool,
    n_inputs: int,
    words: Keys,
    touched: Bytes,
    groups: Keys,
    places: Integers,
    pending: Integers,
    offsets: Integers,
    indices: Integers,
    left: Integers,
) -> tuple[Size, Size, Size, int]:
    """Events into lists of active inputs.

    Arrays come one by one: numba takes tuples apart too slowly for packets of few events.

    Args:
        events: an array of ``EVENT_DTYPE``.
        first: the first of them to take.
        start_us: time at which the first step begins.
        dt_us: length of a step.
        n_steps: steps to complete.
        columns: see ``binning_tables.PixelPlaces``.
        rows: see ``binning_tables.PixelPlaces``.
        channels: see ``binning_tables.PixelPlaces``.
        is_plain: see ``binning_tables.PixelPlaces``.
        n_inputs: input lines of a lane.
        words: of a ``binning_tables.ActiveMap`` in which nothing is active; the same afterwards.
        touched: of the map.
        groups: of the map.
        places: working array, for the places of some events.
        pending: targets ``lane * n_inputs + input`` that are already active in the first step.
        offsets: the result, (n_steps * n_lanes + 1,).
        indices: the result; ``SLACK`` longer than needed at most.
        left: targets that are active in the step that stays open; ``SLACK`` longer than needed.

    Returns:
        The first event that was not taken, how many indices were written, how many targets are
        left, and how many events lay outside the crop. An event is not taken where it is not
        ordinary (see ``are_ordinary``), or belongs to a step after the one that stays open.
    """
    n_groups = (unsigned(n_inputs) + unsigned(GROUP_BITS - 1)) // unsigned(GROUP_BITS)
    n_lanes = unsigned(len(groups)) // n_groups
    n_outside, cursor, index = 0, ZERO, unsigned(first)
    offsets[0] = 0
    for k in range(len(pending)):
        lane, number = pending[k] // n_inputs, pending[k] % n_inputs
        left[k] = lane * np.int64(n_groups) * GROUP_BITS + number
    _set(left, unsigned(len(pending)), words, touched)
    for step in range(n_steps + 1):
        start = start_us + step * dt_us
        if is_plain:
            width, height = unsigned(columns.shape[1]), unsigned(rows.shape[1])
            index = _mark_plain(events, index, start, dt_us, width, height, places, words, touched)
        else:
            index, missed = _mark(
                events, index, start, dt_us, columns, rows, channels, places, words, touched
            )
            n_outside += missed
        if step == n_steps:
            break
        row = unsigned(step) * n_lanes
        for lane in range(n_lanes):
            cursor = _emit(lane * n_groups, n_groups, 0, words, groups, indices, cursor)
            offsets[row + lane + ONE] = np.int64(cursor)
    n_left = ZERO
    for lane in range(n_lanes):
        n_left = _emit(
            lane * n_groups, n_groups, np.int64(lane) * n_inputs, words, groups, left, n_left
        )
    return np.int64(index), np.int64(cursor), np.int64(n_left), n_outside


@part
def _mark(
    events: Any,
    index: Size,
    start_us: int,
    dt_us: int,
    columns: Integers,
    rows: Integers,
    channels: Integers,
    places: Integers,
    words: Keys,
    touched: Bytes,
) -> tuple[Size, int]:
    """Mark events up to the first that is not of this step; that one, and how many lay outside.

    Reading some events and then marking their places is quicker than event after event: reads
    need not wait until it is known that no mark before them has changed what they read.
    """
    n_outside, length, n_read = 0, unsigned(dt_us), unsigned(len(places))
    n_across, width = unsigned(columns.shape[0]), unsigned(columns.shape[1])
    n_down, height = unsigned(rows.shape[0]), unsigned(rows.shape[1])
    while n_read == unsigned(len(places)):
        most, n_read = min(unsigned(len(places)), unsigned(len(events)) - index), ZERO
        while n_read < most:
            event = events[index + n_read]
            x, y = unsigned(event.x), unsigned(event.y)
            if unsigned(event.t_us - start_us) >= length or x >= width or y >= height:
                break
            place = rows[ZERO, y] + columns[ZERO, x] + channels[unsigned(event.on)]
            places[n_read] = place
            n_read += ONE
        n_outside += _set(places, n_read, words, touched)
        for more in range(ONE, n_across * n_down):  # tiles that overlap
            for k in range(n_read):
                event = events[index + k]
                row = rows[more // n_across, unsigned(event.y)]
                column = columns[more % n_across, unsigned(event.x)]
                places[k] = row + column + channels[unsigned(event.on)]
            _set(places, n_read, words, touched)
        index += n_read
    return index, n_outside


@part
def _mark_plain(
    events: Any,
    index: Size,
    start_us: int,
    dt_us: int,
    width: Size,
    height: Size,
    places: Integers,
    words: Keys,
    touched: Bytes,
) -> Size:
    """As ``_mark`` where every pixel has its one place: nothing is looked up, none lies outside."""
    length, n_read = unsigned(dt_us), unsigned(len(places))
    while n_read == unsigned(len(places)):
        most, n_read = min(unsigned(len(places)), unsigned(len(events)) - index), ZERO
        while n_read < most:
            event = events[index + n_read]
            x, y = unsigned(event.x), unsigned(event.y)
            if unsigned(event.t_us - start_us) >= length or x >= width or y >= height:
                break
            places[n_read] = y * width + x
            n_read += ONE
        for k in range(n_read):
            _activate(unsigned(places[k]), words, touched)
        index += n_read
    return index


@part
def _set(places: Integers, n_places: Size, words: Keys, touched: Bytes) -> int:
    """Mark places of the map as active; how many of them are none."""
    n_nowhere = 0
    for k in range(n_places):
        if places[k] < 0:
            n_nowhere += 1
            continue
        _activate(unsigned(places[k]), words, touched)
    return n_nowhere


@inlined
def _activate(place: Size, words: Keys, touched: Bytes) -> None:
    word = place >> SIX
    words[word] |= ONE << (place & LOW_SIX)
    touched[word] = 1


@part
def _emit(
    first_group: Size,
    n_groups: Size,
    base: Any,
    words: Keys,
    groups: Keys,
    numbers: Integers,
    place: Size,
) -> Size:
    """Write what is active in a lane, added to ``base``, and clear it; where the list ends."""
    for group in range(n_groups):
        touched = groups[first_group + group]
        if touched == ZERO:
            continue
        groups[first_group + group] = ZERO
        if touched == ALL_TOUCHED:  # a busy step: nothing to look for
            for word in range(group << THREE, (group << THREE) + EIGHT):
                bits = words[(first_group << THREE) + word]
                words[(first_group << THREE) + word] = ZERO
                place = _write_bits(bits, base + np.int64(word << SIX), numbers, place)
            continue
        while touched != ZERO:
            word = (group << THREE) + (trailing_zeros(touched) >> THREE)
            touched &= touched - ONE
            bits = words[(first_group << THREE) + word]
            words[(first_group << THREE) + word] = ZERO
            start = base + np.int64(word << SIX)
            place = _write_bits(bits, start, numbers, place)
    return place


@part
def _write_bits(bits: Size, start: Any, numbers: Integers, place: Size) -> Size:
    """Numbers of the set bits, added to ``start``, four at a time whether or not there are as many.

    A loop over the bits would be mispredicted at the end of every word.
    """
    end = place + set_bits(bits)
    for i in range(FOUR):
        numbers[place + i] = start + np.int64(trailing_zeros(bits))
        bits &= bits - ONE
    while bits != ZERO:
        place += FOUR
        for i in range(FOUR):
            numbers[place + i] = start + np.int64(trailing_zeros(bits))
            bits &= bits - ONE
    return end
