"""The search for the constants of the N-MNIST-like simulation."""

from dataclasses import replace

import pytest
from streamvdib.replay.simulation.fitting import constants_of, fit, score
from streamvdib.replay.simulation.nmnist import NO_VARIATION
from streamvdib.replay.simulation.nmnist_fit import FITTED
from streamvdib.replay.simulation.saccades import Setup
from streamvdib.replay.simulator import draw_digit, simulate_nmnist

from streamvdib.errors import ConfigurationError

IMAGES = [draw_digit(3, 0), draw_digit(8, 1)]
PAIRS = [
    (image, simulate_nmnist(image, seed, variation=NO_VARIATION))
    for seed, image in enumerate(IMAGES)
]


def test_the_setup_that_made_the_recordings_scores_one_and_any_other_less() -> None:
    assert score(FITTED, PAIRS) == pytest.approx(1.0)
    moved = replace(FITTED, x=tuple(x + 1.0 for x in FITTED.x))
    assert score(moved, PAIRS) < 0.7
    assert score(replace(FITTED, pixel=FITTED.with_thresholds(1.5)), PAIRS) < 0.8


def test_the_score_never_falls_and_a_search_from_elsewhere_rises() -> None:
    start = replace(FITTED, pixel=FITTED.with_thresholds(1.5))
    scores = [trial.score for trial in fit(PAIRS, start, 12, seed=1)]
    assert scores == sorted(scores)
    assert scores[-1] > score(start, PAIRS)


def test_the_printed_constants_are_the_setup() -> None:
    found: dict[str, object] = {}
    names = {type(part).__name__: type(part) for part in (FITTED.lens, FITTED.pixel)}
    exec(constants_of(FITTED), names, found)  # the text is Python, meant for nmnist_fit.py
    assert found == {"LENS": FITTED.lens, "PIXEL": FITTED.pixel, "X": FITTED.x, "Y": FITTED.y}


def test_a_path_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="63 columns and rows; got 2, 63"):
        Setup(FITTED.lens, FITTED.pixel, (0.0, 1.0), FITTED.y)
