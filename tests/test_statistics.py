"""Latency histogram: percentiles against numpy's, in constant memory."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamvdib.statistics import LatencyHistogram


@given(st.lists(st.floats(1e-8, 0.5), min_size=1, max_size=200), st.sampled_from([50, 90, 99]))
def test_a_percentile_is_right_to_four_percent(values: list[float], percent: int) -> None:
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.04)


def test_nothing_counted_has_no_percentile() -> None:
    assert math.isnan(LatencyHistogram().percentile(50))


def test_a_duration_of_zero_or_a_clock_that_ran_back_is_counted_as_the_shortest() -> None:
    histogram = LatencyHistogram()
    histogram.add(0.0)
    histogram.add(-1.0)
    assert histogram.counts.sum() == 2
    assert histogram.percentile(99) < 2e-9
