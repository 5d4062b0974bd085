"""Spikes and potentials on their way out of the memory: copies, and lists of who spikes."""

from __future__ import annotations

from typing import Any

from streamvdib.backends.compilation import (
    ONE,
    ZERO,
    Bytes,
    Floats,
    Integers,
    Size,
    eight_bytes,
    forced,
    inlined,
    part,
    set_bits,
    trailing_zeros,
    unsigned,
)
from streamvdib.backends.numba_filters import GROUP
from streamvdib.backends.numba_plan import CONNECTION, CONVOLUTION, ORDER, Plan
from streamvdib.backends.numba_vectors import WIDTH, Places, vector_kernel

VECTOR = unsigned(WIDTH)
WORD = unsigned(8)  # spikes that are looked at as one number
AT_ONCE, ROOM = unsigned(6), 8


def _as_bytes(at: Places) -> None:
    at.write_bytes(1, at.read(0))


def _as_bits(at: Places) -> None:
    at.write_bits(1, at.read(0))


copy_as_bytes = vector_kernel(_as_bytes, "mt")
copy_as_bits = vector_kernel(_as_bits, "mb")


@inlined
def end_bits(target: Bytes, place: Size, count: Size) -> None:
    """No spikes in the rest of the last word of 64 where ``count`` neurons, from ``place``, end."""
    for i in range(place + count // WORD, place + (count + GROUP - ONE) // GROUP * WORD):
        target[i] = 0


@inlined
def write_spikes(
    memory: Floats, spikes: Size, row: Plan, low: Size, n_numbers: Size, orders: Integers,
    target: Bytes, place: Size,
) -> None:  # fmt: skip
    """Copy the spikes of a step, each to the neuron's own number."""
    if row[CONNECTION] == CONVOLUTION:
        for i in range(n_numbers):
            target[place + unsigned(orders[row[ORDER] + i])] = memory[spikes + i] > 0
        return
    whole = n_numbers // VECTOR * VECTOR
    copy_as_bytes(memory, memory, target, (spikes + low, place + low), (), whole)
    for i in range(low + whole, low + n_numbers):
        target[place + i] = memory[spikes + i] > 0


@inlined
def write_potentials(
    memory: Floats, potentials: Size, row: Plan, low: Size, n_numbers: Size, orders: Integers,
    target: Floats, place: Size,
) -> None:  # fmt: skip
    """Copy the potentials of a step, each to the neuron's own number."""
    if row[CONNECTION] == CONVOLUTION:
        for i in range(n_numbers):
            target[place + unsigned(orders[row[ORDER] + i])] = memory[potentials + i]
    else:
        for i in range(low, low + n_numbers):
            target[place + i] = memory[potentials + i]


@part
def list_rows(
    raster: Bytes, n_rows: Size, width: Size, starts: Integers, ends: Integers, indices: Integers
) -> None:
    """Lists of the neurons that spike in every row of a raster of ``width`` neurons, a bit each.

    ``indices`` has room for ``ROOM`` more.
    """
    cursor, words = ZERO, width // GROUP
    for entry in range(n_rows):
        starts[entry] = cursor
        for word in range(words):
            bits = eight_bytes(raster, (entry * words + word) * WORD)
            cursor = append_bits(bits, word * GROUP, ONE, indices, cursor)
        ends[entry] = cursor


@forced
def append_bits(bits: Size, first: Size, factor: Size, indices: Integers, cursor: Size) -> Any:
    """Append (first + place) factor for every bit that is set; the list's new end.

    Six are written whether they are there or not, since a CPU cannot foretell how many there are:
    the list needs room for ``ROOM`` more.
    """
    end = cursor + set_bits(bits)
    while True:
        for ahead in range(AT_ONCE):
            indices[cursor + ahead] = (first + trailing_zeros(bits)) * factor
            bits &= bits - ONE
        cursor += AT_ONCE
        if cursor >= end:
            break
    return end


@part
def list_spikes(
    memory: Floats, spikes: Size, n_neurons: Size, indices: Integers, side: int, cursor: Size
) -> Size:
    """Append the numbers of the neurons that spike to a list; its new end.

    Eight silent neurons are passed over at once.
    """
    for low in range(ZERO, n_neurons, WORD):
        total = memory[spikes + low]
        for i in range(ONE, WORD):
            total += memory[spikes + low + i]
        if total > 0:
            for i in range(low, min(low + WORD, n_neurons)):
                indices[side, cursor] = i
                cursor += unsigned(memory[spikes + i] > 0)
    return cursor
