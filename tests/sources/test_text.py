"""Text recordings: columns, units, notations, and decimal arithmetic against ``decimal``."""

from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamvdib.errors import ConfigurationError, RecordingError, UnknownFormatError
from streamvdib.events import SensorSize
from streamvdib.sources import open_source
from tests.sources.written import join, some_events


def read(tmp_path: Path, text: str, **options: object) -> list[tuple[int, int, int, bool]]:
    path = tmp_path / "made.txt"
    path.write_text(text)
    return join(open_source(path, **options)).tolist()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("0.000012 3 4 1\n", {}),
        ("12 3 4 1\n", {}),
        ("1.2e-5 3 4 1\n", {}),
        ("0.012 3 4 1\n", {"time_unit": "ms"}),
        ("12,3,4,1", {}),
        ("12;3;4;1\r\n", {}),
        ("12\t3\t4\t1\n\n\n", {}),
        ("  12   3   4   1  \n", {}),
        ("3 4 1 12\n", {"columns": "x y p t"}),
        ("3 4 99 1 12\n", {"columns": "x,y,_,p,t"}),
        ("# a comment\n12 3 4 1\n", {}),
        ("t_s,p,x,y\n0.000012,1,3,4\n", {}),
        ("# timestamp[us] x y polarity\n12 3 4 1\n", {}),
        ("x y pol ts\n3 4 1 12\n", {}),
        ("3.000e+00 4.0 1.0 1.2e-05\n", {"columns": "x y p t", "time_unit": "s"}),
        ("240 180\n12 3 4 1\n", {}),
    ],
)
def test_one_event_in_many_notations(text: str, options: dict[str, object], tmp_path: Path) -> None:
    assert read(tmp_path, text, **options) == [(12, 3, 4, True)]


def test_nanoseconds_are_rounded_to_microseconds(tmp_path: Path) -> None:
    assert read(tmp_path, "12499 3 4 1\n12500 3 4 1\n", time_unit="ns") == [
        (12, 3, 4, True),
        (13, 3, 4, True),
    ]


def test_off_is_zero_or_minus_one(tmp_path: Path) -> None:
    assert [on for *_, on in read(tmp_path, "1 0 0 0\n2 0 0 -1\n3 0 0 1\n")] == [False, False, True]


def test_a_first_line_of_two_numbers_is_the_size_of_the_sensor(tmp_path: Path) -> None:
    (tmp_path / "made.txt").write_text("77 55\n1 2 3 1\n")
    assert open_source(tmp_path / "made.txt").sensor_size == SensorSize(77, 55)


@settings(max_examples=100)
@given(st.decimals(0, 10**9, allow_nan=False, places=9))
def test_seconds_become_microseconds_in_decimal_arithmetic(seconds: Decimal) -> None:
    from streamvdib.sources.text_kernel import _number

    data = np.frombuffer(format(seconds, "f").encode(), np.uint8)
    expected = int((seconds * 10**6).to_integral_value(ROUND_HALF_UP))
    assert _number(data, 0, 6) == (expected, len(data))


@settings(max_examples=100)
@given(st.floats(0, 1e9, allow_nan=False), st.integers(0, 17))
def test_numbers_with_exponents_are_read_like_decimal_reads_them(value: float, digits: int) -> None:
    from streamvdib.sources.text_kernel import _number

    text = f"{value:.{digits}e}"
    data = np.frombuffer(text.encode(), np.uint8)
    expected = int((Decimal(text) * 10**6).to_integral_value(ROUND_HALF_UP))
    assert _number(data, 0, 6) == (expected, len(data))


def test_plain_and_unusual_lines_give_the_same_events(tmp_path: Path) -> None:
    """Most lines take a shorter way through the parser than one with two spaces in a row."""
    events = some_events(SensorSize(240, 180))
    plain = "".join(f"{t / 1e6:.6f} {x} {y} {int(p)}\n" for t, x, y, p in events.tolist())
    assert read(tmp_path, plain) == read(tmp_path, plain.replace(" ", "  ")) == events.tolist()


@pytest.mark.parametrize("decimals", ["0000004", "0000005", "00000051", "0000009999"])
def test_digits_below_a_microsecond_are_rounded(decimals: str, tmp_path: Path) -> None:
    expected = int((Decimal("0." + decimals) * 10**6).to_integral_value(ROUND_HALF_UP))
    assert read(tmp_path, f"0.{decimals} 3 4 1\n") == [(expected, 3, 4, True)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3\n", "4 columns"),
        ("1 2 3 4 5\n", "4 columns"),
        ("1 2 3 7\n", "polarity"),
        ("1 2 x 1\n", "numbers only"),
        ("1 2 3 nan\n", "numbers only"),
    ],
)
def test_a_bad_line_is_one_clear_error_or_skipped_and_counted(
    line: str, message: str, tmp_path: Path
) -> None:
    text = "1 2 3 1\n" + line + "2 3 4 1\n"
    with pytest.raises(RecordingError, match=f"byte 8.*{message}"):
        read(tmp_path, text)
    source = open_source(tmp_path / "made.txt", lenient=True)
    assert len(join(source)) == 2
    assert source.counters == {"bad_lines": 1}


def test_columns_that_do_not_name_four_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="each of t, x, y, p once"):
        read(tmp_path, "1 2 3 1\n", columns="t x y")


def test_an_option_of_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="among: columns, time_unit; got topic"):
        read(tmp_path, "1 2 3 1\n", topic="/events")


def test_prose_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError):
        read(tmp_path, "Four score and seven\nyears ago\n")
