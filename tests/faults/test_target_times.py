"""Targets from the future or the past are refused and counted."""

import numpy as np
import pytest

from streamvdib.errors import ConfigurationError, TargetError
from streamvdib.learning.target_gate import TargetGate

PICTURE = np.ones((1, 2, 2), dtype=np.float32)


def gate_at(now_us: int) -> TargetGate:
    gate = TargetGate((1, 2, 2), max_age_us=1000, max_ahead_us=500, capacity=3)
    gate.at(now_us)
    return gate


@pytest.mark.parametrize("t_us", [8_999, 10_501, -1, 10**15])
def test_a_target_of_another_time_is_refused_and_counted(t_us: int) -> None:
    gate = gate_at(10_000)
    with pytest.raises(TargetError, match="of the present, 10000 us"):
        gate.push(t_us, PICTURE)
    assert gate.n_refused == 1
    assert gate.at(10_001) is None


@pytest.mark.parametrize(
    "target", [np.full((1, 2, 2), np.nan), np.full((1, 2, 2), np.inf), np.ones((2, 2)), "text"]
)
def test_a_target_that_is_no_picture_is_refused_and_counted(target: object) -> None:
    gate = gate_at(10_000)
    with pytest.raises(TargetError):
        gate.push(10_000, target)  # type: ignore[arg-type]
    assert gate.n_refused == 1


def test_a_target_is_used_from_its_time_on_until_it_is_too_old() -> None:
    gate = gate_at(10_000)
    gate.push(10_300, PICTURE)
    assert gate.at(10_299) is None
    assert gate.at(10_300) is not None
    assert gate.at(11_300) is not None
    assert gate.at(11_301) is None


def test_targets_come_in_order_and_the_oldest_make_room() -> None:
    gate = gate_at(10_000)
    for t_us in (10_100, 10_200, 10_300, 10_400):
        gate.push(t_us, t_us * PICTURE)
    assert (gate.n_taken, gate.n_dropped) == (4, 1)
    with pytest.raises(TargetError, match="in order"):
        gate.push(10_399, PICTURE)
    assert gate.at(10_250)[0, 0, 0] == 10_200  # type: ignore[index]
    with pytest.raises(ConfigurationError):
        TargetGate((1,), capacity=0)
