"""The wire format: golden messages, readers of other versions, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamvdib.services.bounds import WireError
from streamvdib.services.messages import (
    Header,
    decode_header,
    decode_payload,
    encode_header,
    topic,
)

from streamvdib.events import EVENT_DTYPE, as_events

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "wire.md"
FRAME = Header(
    kind="frame",
    stream="digits",
    run="00112233aabbccdd",
    sequence=5,
    step=41,
    start_us=100_000,
    end_us=420_000,
    wall_us=1_700_000_000_000_000,
    monotonic_ns=9_000_000_000,
    due_ns=8_999_000_000,
    boot="b",
    dtype="|u1",
    shape=(2, 3),
    bytes=6,
    range=(0.0, 255.0),
    model="nmnist",
    generation=7,
    seed=1,
    dropped={"queue": 3},
)
PIXELS = bytes([0, 64, 128, 192, 255, 10])
GOLDEN_FILES = {"frame.header": encode_header(FRAME), "frame.payload": PIXELS}


def header_map(**changes: object) -> dict:
    values = msgpack.unpackb(encode_header(FRAME))
    return {k: v for k, v in (values | changes).items() if v != "absent"}


@pytest.mark.parametrize("name", GOLDEN_FILES)
def test_what_is_written_today_is_what_was_written_before(name: str) -> None:
    assert GOLDEN_FILES[name] == (GOLDEN / name).read_bytes()


def test_a_golden_frame_is_read() -> None:
    header = decode_header((GOLDEN / "frame.header").read_bytes())
    pixels = decode_payload(header, (GOLDEN / "frame.payload").read_bytes())
    assert header == FRAME
    assert pixels.tolist() == [[0, 64, 128], [192, 255, 10]]


def test_the_worked_example_in_the_docs_is_the_golden_frame() -> None:
    found = re.search(r"<!-- header -->\n```\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    assert bytes.fromhex(found[1].replace("\n", " ")) == (GOLDEN / "frame.header").read_bytes()


def test_a_reader_of_today_reads_a_header_of_tomorrow() -> None:
    """A minor number further on may add fields, which are ignored."""
    raw = msgpack.packb(header_map(schema=[1, 9], colour="new", nested={"a": [1, 2]}))
    header = decode_header(raw)
    assert header.schema == (1, 9)
    assert header.step == 41


def test_a_reader_of_before_reads_the_header_of_today() -> None:
    """Its fields are still there, of the same types: the oldest golden file is read by hand."""
    values = msgpack.unpackb((GOLDEN / "frame.header").read_bytes())
    assert values["schema"][0] == 1
    assert np.frombuffer(PIXELS, values["dtype"]).reshape(values["shape"]).shape == (2, 3)


def test_another_major_number_is_refused() -> None:
    with pytest.raises(WireError) as caught:
        decode_header(msgpack.packb(header_map(schema=[2, 0])))
    assert caught.value.code == "unsupported_schema"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"step": "41"}, "step"),
        ({"step": True}, "step"),
        ({"sequence": "absent"}, "sequence"),
        ({"shape": [2, "3"]}, "shape[1]"),
        ({"range": [0.0]}, "range"),
        ({"dropped": 3}, "dropped"),
        ({"schema": [1]}, "schema"),
    ],
)
def test_a_bad_field_is_named(changes: dict, field: str) -> None:
    with pytest.raises(WireError) as caught:
        decode_header(msgpack.packb(header_map(**changes)))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "changes",
    [
        {"bytes": 7},
        {"shape": [3, 3]},
        {"shape": [-2, -3]},
        {"shape": [2**62, 2**62]},
        {"dtype": "|O"},
        {"dtype": "O"},
        {"dtype": "<f4"},
        {"dtype": "(2,)<f4"},
        {"fields": {"a": "|O"}},
    ],
)
def test_a_payload_that_contradicts_its_header_is_refused(changes: dict) -> None:
    header = decode_header(msgpack.packb(header_map(**changes)))
    with pytest.raises(WireError):
        decode_payload(header, PIXELS)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**40), st.integers(0, 345), st.integers(0, 259), st.booleans()),
        max_size=20,
    )
)
def test_events_go_there_and_back(events: list) -> None:
    columns = zip(*events, strict=True) if events else ([], [], [], [])
    array = as_events(*(list(column) for column in columns))
    fields = {name: EVENT_DTYPE[name].str for name in EVENT_DTYPE.names or ()}
    header = decode_header(
        encode_header(
            Header(
                kind="events",
                stream="s",
                run="r",
                sequence=0,
                step=0,
                start_us=0,
                end_us=0,
                wall_us=0,
                monotonic_ns=0,
                shape=array.shape,
                bytes=array.nbytes,
                fields=fields,
            )
        )
    )
    back = decode_payload(header, array.tobytes())
    np.testing.assert_array_equal(back, array)
    assert back.dtype.itemsize == 13


@given(st.binary(max_size=300))
def test_random_bytes_are_a_header_or_a_typed_error(raw: bytes) -> None:
    try:
        header = decode_header(raw)
    except WireError:
        return
    assert header.schema[0] == 1


def test_a_topic_says_what_and_whose() -> None:
    assert topic("digits", "frame") == b"frame/digits/live"
    assert topic("digits", "frame", last=True) == b"frame/digits/last"
