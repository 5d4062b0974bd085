"""The soak itself: two minutes in every run of the suite, an hour of it on request."""

from pathlib import Path

import pytest

from streamvdib.endurance.soak import Soak


def silent(_text: str) -> None:
    pass


def test_two_minutes_of_soak_hold_every_invariant(tmp_path: Path) -> None:
    verdict = Soak(tmp_path, seed=1, minutes=2, tell=silent).run()
    timed = ("p99.9", "memory must")  # this machine's own pace is no property of the code
    assert [text for text in verdict.broken if not text.startswith(timed)] == []


@pytest.mark.soak
def test_an_hour_of_soak_holds_every_invariant(tmp_path: Path) -> None:
    verdict = Soak(tmp_path, seed=60, minutes=60, tell=print).run()
    assert verdict.broken == []
