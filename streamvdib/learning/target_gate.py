"""Targets that come from outside while the stream runs: only those of the present are taken.

A target is that of a sensor time. One from further in the past than ``max_age_us`` or further in
the future than ``max_ahead_us`` is refused, as is one that is not finite or of another shape.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, TargetError

Target = npt.NDArray[np.float32]


class TargetGate:
    """``Targets`` that are pushed, with their times.

    Memory: ``capacity`` targets; the oldest make room, counted.

    Args:
        shape: (n_streams, *output_shape).
        max_age_us: how old a target may be, when it comes and when it is used.
        max_ahead_us: how far ahead of the last step it may be when it comes.
        capacity: targets that wait for their time.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        max_age_us: int = 1_000_000,
        max_ahead_us: int = 1_000_000,
        capacity: int = 64,
    ) -> None:
        if min(max_age_us, max_ahead_us) < 0 or capacity < 1:
            raise ConfigurationError(
                "a target gate requires times of 0 or more and room for 1; got "
                f"{max_age_us}, {max_ahead_us}, {capacity}"
            )
        self.shape, self.capacity = tuple(shape), capacity
        self.max_age_us, self.max_ahead_us = max_age_us, max_ahead_us
        self.n_taken = self.n_refused = self.n_dropped = 0
        self._now_us: int | None = None  # end of the last step that asked
        self._waiting: deque[tuple[int, Target]] = deque()
        self._last: tuple[int, Target] | None = None

    def push(self, t_us: int, target: npt.ArrayLike) -> None:
        """Offer the target that was true at ``t_us``.

        Raises:
            TargetError: it must not be learned from; it is counted in ``n_refused``.
        """
        try:
            value = self._checked(t_us, target)
        except TargetError:
            self.n_refused += 1
            raise
        self.n_taken += 1
        self._waiting.append((t_us, value))
        if len(self._waiting) > self.capacity:
            self._waiting.popleft()
            self.n_dropped += 1

    def at(self, end_us: int) -> Target | None:
        """See ``Targets``: the newest that was true by then, unless it is too old."""
        self._now_us = end_us
        while self._waiting and self._waiting[0][0] <= end_us:
            self._last = self._waiting.popleft()
        if self._last is None or end_us - self._last[0] > self.max_age_us:
            return None
        return self._last[1]

    def _checked(self, t_us: int, target: npt.ArrayLike) -> Target:
        try:
            value = np.asarray(target, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise TargetError(f"a target must be numbers; {error}") from None
        check_target(value, self.shape)
        now_us, newest_us = self._now_us, self._waiting[-1][0] if self._waiting else None
        if now_us is not None and not -self.max_age_us <= t_us - now_us <= self.max_ahead_us:
            raise TargetError(
                f"a target must be of the present, {now_us} us; got one of {t_us} us. Send targets "
                "with the sensor's time."
            )
        if newest_us is not None and t_us < newest_us:
            raise TargetError(f"targets must come in order of time; got {t_us} after {newest_us}")
        return value.copy()


def check_target(target: Target, shape: tuple[int, ...]) -> None:
    """Raise ``TargetError`` where a target has another shape, or is not finite."""
    if tuple(target.shape) != shape:
        raise TargetError(f"a target must have shape {shape}; got {tuple(target.shape)}")
    if not np.isfinite(target).all():
        raise TargetError("a target must be finite; got nan or inf")
