"""Sums of products in an order that does not depend on the width of vectors."""

from __future__ import annotations

from typing import Any

from streamvdib.backends.compilation import ONE, ZERO, Floats, Size, part, unsigned

TWO = unsigned(2)
THREE = unsigned(3)
FOUR = unsigned(4)
EIGHT = unsigned(8)
SIXTEEN = unsigned(16)


@part
def dot(a: Floats, p: Size, b: Floats, q: Size, n: Size, working: Floats, at: Size) -> Any:
    """Sum of n products a[p + i] b[q + i]: four quarters side by side, folded in halves.

    The n / 4 numbers from ``working[at]`` are overwritten.
    """
    width = n // (FOUR * EIGHT) * EIGHT
    for i in range(width):
        low = a[p + i] * b[q + i] + a[p + width + i] * b[q + width + i]
        j, k = TWO * width + i, THREE * width + i
        working[at + i] = low + (a[p + j] * b[q + j] + a[p + k] * b[q + k])
    total = a[p] * 0
    if width > ZERO:
        total += _folded(working, at, width)
    for i in range(FOUR * width, n):
        total += a[p + i] * b[q + i]
    return total


@part
def _folded(working: Floats, at: Size, width: Size) -> Any:
    """Sum of a multiple of 8 numbers."""
    while width > EIGHT:
        half = width // SIXTEEN * EIGHT
        for i in range(half):
            working[at + i] += working[at + half + i]
        if TWO * half < width:
            for i in range(EIGHT):
                working[at + i] += working[at + TWO * half + i]
        width = half
    low = (working[at] + working[at + ONE]) + (working[at + TWO] + working[at + THREE])
    at += FOUR
    high = (working[at] + working[at + ONE]) + (working[at + TWO] + working[at + THREE])
    return low + high
