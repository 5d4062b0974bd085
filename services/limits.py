"""How often something may happen: a bucket of tokens that fills with time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class TokenBucket:
    """Lets through ``rate_hz`` a second on average and ``burst`` at once.

    >>> now = iter([0.0, 0.0, 0.0, 1.0])
    >>> bucket = TokenBucket(rate_hz=1.0, burst=1, clock=lambda: next(now))
    >>> bucket.take(), bucket.take(), bucket.take()
    (True, False, True)
    """

    def __init__(
        self, rate_hz: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._filled_s = clock()

    def take(self) -> bool:
        """Whether one more is within the rate; if so it is counted."""
        now_s = self._clock()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._rate_hz)
        self._filled_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class TokenBuckets:
    """One bucket per peer. Memory: ``n_peers`` buckets; the longest unused one gives way."""

    def __init__(
        self,
        rate_hz: float,
        burst: int,
        n_peers: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_hz = rate_hz
        self._burst = burst
        self._n_peers = n_peers
        self._clock = clock
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def take(self, peer: bytes) -> bool:
        """Whether one more from ``peer`` is within its rate."""
        bucket = self._buckets.get(peer)
        if bucket is None:
            bucket = self._buckets[peer] = TokenBucket(self._rate_hz, self._burst, self._clock)
            if len(self._buckets) > self._n_peers:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(peer)
        return bucket.take()
