"""Load shedding: what is given up, and in which order, when the machine cannot follow.

    level          given up
    NORMAL         nothing
    DROP_DECODES   frames: one in ``DECODE_FACTOR`` is decoded
    MERGE_BINS     and time steps: ``MERGE`` become one
    SHED_LANES     and lanes: one in ``LANE_STRIDE`` sees events

One level up when the lag has been above its bound for ``hold_s``, one level down when it has been
below a quarter of it for ``recover_s``; a hiccup shorter than ``hold_s`` counts neither way, so
that a busy machine recovers. Order of events and frames never changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from streamvdib.errors import ConfigurationError
from streamvdib.thinning import Thinning

if TYPE_CHECKING:
    from streamvdib.engine import Engine

_LOG = logging.getLogger(__name__)
DECODE_FACTOR = 4
MERGE = 2
LANE_STRIDE = 2
_EASY = 0.25


class Level(IntEnum):
    """How much is given up."""

    NORMAL = 0
    DROP_DECODES = 1
    MERGE_BINS = 2
    SHED_LANES = 3


@dataclass(frozen=True)
class Bounds:
    """When to give up more, and when less."""

    lag_s: float = 0.1  # sensor time that has passed and is not processed
    hold_s: float = 0.5
    recover_s: float = 5.0

    def __post_init__(self) -> None:
        if min(self.lag_s, self.hold_s, self.recover_s) <= 0:
            raise ConfigurationError(f"bounds of load shedding must be above 0; got {self}")


class Shedding:
    """Decides the level from the lag. Memory: a few numbers."""

    def __init__(self, clock: Callable[[], float], bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.level = Level.NORMAL
        self.n_raised = self.n_lowered = 0
        self._clock = clock
        self._applied = Level.NORMAL
        self._decode_every = 0  # what it was before frames were dropped
        self._bad_since_s: float | None = None
        self._easy_since_s: float | None = None
        self._uneasy_since_s: float | None = None
        self._asked = False

    @property
    def counters(self) -> dict[str, int]:
        """Level and changes, by name, for metrics."""
        return {
            "shedding_level": int(self.level),
            "shedding_raised": self.n_raised,
            "shedding_lowered": self.n_lowered,
        }

    def ask(self) -> None:
        """Go one level up at the next look, whatever the lag: a watchdog found the engine stalled.

        May be called from another thread.
        """
        self._asked = True

    def observe(self, lag_s: float) -> None:
        """Say how far the engine is behind; call it often."""
        now_s = self._clock()
        if self._asked:
            self._asked, self._easy_since_s, self._bad_since_s = False, None, now_s
            self._go(min(self.level + 1, Level.SHED_LANES), lag_s)
            return
        self._look(lag_s, now_s)
        if self._lasts(self._bad_since_s, self.bounds.hold_s, now_s):
            self._go(min(self.level + 1, Level.SHED_LANES), lag_s)
            self._bad_since_s, self._easy_since_s = now_s, None
        elif self._lasts(self._easy_since_s, self.bounds.recover_s, now_s):
            self._go(max(self.level - 1, Level.NORMAL), lag_s)
            self._easy_since_s = now_s

    def applies(self, engine: Engine) -> bool:
        """Bring the engine to the level, between packets; whether anything changed."""
        if self.level == self._applied:
            return False
        if self._applied == Level.NORMAL:
            self._decode_every = engine.decode_every
            engine.decode_every *= DECODE_FACTOR
        elif self.level == Level.NORMAL:
            engine.decode_every = self._decode_every
        engine.thinning = Thinning(
            merge=MERGE if self.level >= Level.MERGE_BINS else 1,
            lane_stride=LANE_STRIDE if self.level >= Level.SHED_LANES else 1,
        )
        self._applied = self.level
        return True

    def decode_every(self, steps: int) -> int:
        """What a wish for a frame every ``steps`` means now; it is kept for when load is normal."""
        self._decode_every = steps
        return steps if self._applied == Level.NORMAL else steps * DECODE_FACTOR

    def _look(self, lag_s: float, now_s: float) -> None:
        """Since when it has been bad, easy and neither."""
        is_easy = lag_s < _EASY * self.bounds.lag_s
        self._bad_since_s = _since(self._bad_since_s, now_s, holds=lag_s > self.bounds.lag_s)
        self._uneasy_since_s = _since(self._uneasy_since_s, now_s, holds=not is_easy)
        if is_easy:
            self._easy_since_s = _since(self._easy_since_s, now_s, holds=True)
        elif self._lasts(self._uneasy_since_s, self.bounds.hold_s, now_s):
            self._easy_since_s = None

    def _lasts(self, since_s: float | None, needed_s: float, now_s: float) -> bool:
        return since_s is not None and now_s - since_s >= needed_s

    def _go(self, level: int, lag_s: float) -> None:
        if level == self.level:
            return
        self.n_raised += level > self.level
        self.n_lowered += level < self.level
        self.level = Level(level)
        _LOG.warning("load shedding: %s at a lag of %.3f s", self.level.name, lag_s)


def _since(before_s: float | None, now_s: float, *, holds: bool) -> float | None:
    """When something began to hold that holds now; None if it does not."""
    if not holds:
        return None
    return now_s if before_s is None else before_s
