"""The limits of a guard on learning."""

from __future__ import annotations

from dataclasses import dataclass

from streamvdib.errors import ConfigurationError


@dataclass(frozen=True)
class Limits:
    """When an update is bad, and when learning stops.

    Attributes:
        largest_target: targets beyond it, by absolute value, are refused.
        largest_step: an update of more than this many times the mean one is undone.
        n_bad: bad updates in a row that freeze learning.
        tolerance: how far an error may rise above its best, as a fraction of it.
        margin: and by how much at least, mean squared error. The default lets another picture
            from 0 to 1 pass, and stops at noise and at a decoder gone astray; take a smaller
            one for a scene that you know.
        fast_rate: of the running means that are judged.
        slow_rate: of the running means that they are judged against.
        warm_up: updates before the first judgement.
        anchor_every: updates between copies of the best weights.
        n_memory: windows kept as the slow reference; 0: none.
        memory_every: updates between windows that enter it, and between its tests.
    """

    largest_target: float = 1e3
    largest_step: float = 20.0
    n_bad: int = 5
    tolerance: float = 1.0
    margin: float = 0.15
    fast_rate: float = 0.05
    slow_rate: float = 0.005
    warm_up: int = 50
    anchor_every: int = 100
    n_memory: int = 16
    memory_every: int = 20

    def __post_init__(self) -> None:
        positive = (
            self.largest_target, self.largest_step, self.n_bad, self.tolerance, self.margin,
            self.fast_rate, self.slow_rate, self.anchor_every, self.memory_every,
        )  # fmt: skip
        if not all(value > 0 for value in positive) or min(self.warm_up, self.n_memory) < 0:
            raise ConfigurationError(f"limits of a guard must be above 0; got {self}")
