"""Frames handed to a function."""

from __future__ import annotations

from collections.abc import Callable

from streamvdib.engine import Frame
from streamvdib.sinks.rendering import GrayImage


class CallbackSink:
    """Calls ``function(frame)`` for every frame.

    >>> seen = []
    >>> CallbackSink(seen.append).push("frame", None)
    >>> seen
    ['frame']
    """

    def __init__(self, function: Callable[[Frame], object]) -> None:
        self.function = function

    def push(self, frame: Frame, picture: GrayImage) -> None:
        """Hand over one frame."""
        self.function(frame)

    def close(self) -> None:
        """Nothing to finish."""
