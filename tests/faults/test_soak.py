"""The soak itself, short; two minutes and an hour of it on request."""

from pathlib import Path

import pytest

from streamvdib.endurance.soak import Soak


def silent(_text: str) -> None:
    pass


@pytest.mark.slow
def test_ten_seconds_of_soak_hold_every_invariant(tmp_path: Path) -> None:
    verdict = Soak(tmp_path, seed=1, minutes=1 / 6, tell=silent).run()
    timed = ("p99.9", "memory must")  # this machine's own pace is no property of the code
    assert [text for text in verdict.broken if not text.startswith(timed)] == []


@pytest.mark.soak
@pytest.mark.parametrize("minutes", [2, 60])
def test_a_long_soak_holds_every_invariant(tmp_path: Path, minutes: int) -> None:
    verdict = Soak(tmp_path, seed=minutes, minutes=minutes, tell=print).run()
    assert verdict.broken == []
