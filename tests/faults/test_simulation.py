"""Seeds of the simulation, and that it can be trusted: the same seed does the same."""

import pytest

from streamvdib.endurance.simulation import Life, simulate


@pytest.mark.parametrize("seed", range(4))
def test_a_life_of_crashes_agrees_with_one_without(seed: int) -> None:
    outcome = simulate(seed, n_packets=12)
    assert outcome.broken == [], f"again: streamvdib soak --simulate 1 --seed {seed}"


def test_the_same_seed_gives_the_same_faults_at_the_same_moments() -> None:
    one, other = simulate(3, n_packets=8), simulate(3, n_packets=8)
    assert one.trace == other.trace
    assert one.trace


def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fsync of the folder a checkpoint that was said to be written can be lost."""
    monkeypatch.setattr("streamvdib.endurance.disks.FaultyDisk.sync_folder", lambda *_: None)
    broken = []
    for seed in range(40):
        life = Life(seed, n_packets=8)
        life.loss_rate = 0.1
        broken += life.run().broken
        if broken:
            break
    assert any("must survive" in text for text in broken)


@pytest.mark.slow
def test_a_hundred_seeds_break_nothing() -> None:
    broken = {seed: simulate(seed).broken for seed in range(100)}
    assert {seed: texts for seed, texts in broken.items() if texts} == {}
