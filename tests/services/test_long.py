"""The claims of the service, measured at a small size; ``measures.py NAME --full`` is the true one.

The sizes grow with STREAMVDIB_SCALE (1 here): frames, seconds, messages, kills.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import measures

SCALE = float(os.environ.get("STREAMVDIB_SCALE", "1"))

pytestmark = pytest.mark.slow


def scaled(n: float) -> int:
    return max(1, round(n * SCALE))


def test_every_frame_comes_once_and_in_order_beside_a_subscriber_that_reads_nothing() -> None:
    found = measures.order(n_frames=scaled(1000))
    assert found["received"] == found["frames"]
    assert found["in_order"]
    assert found["missed"] == 0
    assert found["service_grew_mb"] < 20.0


def test_five_subscribers_get_the_same_frames() -> None:
    found = measures.rate(rate_hz=100.0, seconds=scaled(3))
    assert len(found["received_hz"]) == 5
    assert found["missed"] == [0] * 5


def test_malformed_messages_neither_crash_nor_fatten_the_service() -> None:
    found = measures.malformed(n_messages=scaled(5000))
    assert found["stream_goes_on"]
    assert found["service_grew_mb"] < 10.0
    assert set(found["refused"]) >= {"malformed", "too_many_parts", "too_many_requests"}


def test_a_flood_costs_no_frame() -> None:
    found = measures.flood(seconds=scaled(2))
    assert found["missed"] == 0
    assert found["frames"] > 0
    assert found["service_grew_mb"] < 10.0


def test_whoever_is_killed_the_rest_recovers() -> None:
    found = measures.kills(n_kills=scaled(4))
    assert sum(one["n"] for one in found["back_after_s"].values()) == found["kills"]
