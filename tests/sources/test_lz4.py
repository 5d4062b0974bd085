"""The compiled LZ4 against the package lz4, which shares no code with it."""

import struct

import lz4.frame
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamvdib.replay.writers.aedat4 import Encoder

from streamvdib.events import SensorSize
from streamvdib.sources.aedat4_container import MAGIC, chunks, read_container
from streamvdib.sources.aedat4_kernels import EVENT
from streamvdib.sources.lz4_kernel import SLACK, unpack_lz4
from tests.sources.written import some_events
from tests.sources.written_with_libraries import write_aedat4

GUARD = 256
HEADER = bytes.fromhex("04224d184040c0")
LIKE_DV = {"store_size": False, "block_linked": True}
pieces = st.one_of(
    st.binary(max_size=40),  # literals
    st.tuples(st.binary(min_size=1, max_size=24), st.integers(1, 400)).map(lambda p: p[0] * p[1]),
    st.integers(0, 1 << 32).map(lambda seed: np.random.default_rng(seed).bytes(3000)),
)


def like_aedat4(n_events: int) -> bytes:
    """Events of 16 bytes: short literals, short matches."""
    events = some_events(SensorSize(34, 34), n_events)
    records = np.zeros(n_events, EVENT)
    records["timestamp"], records["polarity"] = events["t_us"], events["on"]
    records["x"], records["y"] = events["x"], events["y"]
    return records.tobytes()


def unpacked(frame: bytes, room: int = 1 << 18) -> bytes | None:
    """What the kernel gives; None if it gives nothing. It must not write beyond its array."""
    packed = np.frombuffer(b"ahead" + frame + bytes(SLACK), np.uint8).copy()
    memory = np.full(room + SLACK + GUARD, 0xA5, np.uint8)
    n_bytes = unpack_lz4(packed, 5, 5 + len(frame), memory[: room + SLACK])
    assert (memory[room + SLACK :] == 0xA5).all()
    return None if n_bytes < 0 else memory[:n_bytes].tobytes()


@given(parts=st.lists(pieces, max_size=60), level=st.sampled_from([0, 9]))
def test_a_frame_is_unpacked_to_what_was_packed(parts: list[bytes], level: int) -> None:
    """Literals and matches of all lengths, near and far, in one block and in several."""
    data = b"".join(parts)
    frame = lz4.frame.compress(data, compression_level=level, **LIKE_DV)
    assert unpacked(frame) == data


def test_literals_and_matches_of_every_short_length_are_unpacked() -> None:
    generator = np.random.default_rng(2)
    known = generator.bytes(3000)
    data = [known]
    for n_literals in range(20):
        for n_match in range(4, 40):
            at = int(generator.integers(0, 2900))
            data += [generator.bytes(n_literals), known[at : at + n_match]]
    whole = b"".join(data)
    frame = lz4.frame.compress(whole, compression_level=9, **LIKE_DV)
    assert len(frame) < 20_000 < len(whole)
    assert unpacked(frame) == whole


def test_a_match_from_before_the_beginning_is_refused() -> None:
    """By hand: 5 literals, 4 to 16 bytes from ``offset`` before, 8 literals."""
    for n_match in range(4, 17):
        for offset in range(20):
            block = bytes([0x50 | n_match - 4]) + b"ABCDE" + struct.pack("<H", offset)
            block += b"\x80FGHIJKLM"
            frame = HEADER + struct.pack("<I", len(block)) + block + bytes(4)
            found = unpacked(frame)
            if not 1 <= offset <= 5:
                assert found is None
                continue
            repeated = (b"ABCDE"[5 - offset :] * n_match)[:n_match]
            assert found == b"ABCDE" + repeated + b"FGHIJKLM"


def test_matches_that_overlap_themselves_are_unpacked() -> None:
    for period in range(1, 40):
        data = bytes(range(period)) * (900 // period) + b"the end of it"
        assert unpacked(lz4.frame.compress(data, **LIKE_DV)) == data


def test_blocks_refer_to_the_blocks_before_them() -> None:
    """200,000 bytes are four blocks; random ones that come again are matches across blocks."""
    half = np.random.default_rng(5).bytes(50_000)
    data = half * 4
    frame = lz4.frame.compress(data, **LIKE_DV)
    assert len(frame) < 120_000
    assert unpacked(frame) == data


@pytest.mark.parametrize(
    "options", [{"store_size": True}, {"content_checksum": True}, {"block_checksum": True}]
)
def test_frames_of_another_kind_are_left_to_the_library(options: dict[str, bool]) -> None:
    frame = lz4.frame.compress(b"events " * 99, **(LIKE_DV | options))
    assert unpacked(frame) is None


def test_what_does_not_fit_is_left_to_the_library() -> None:
    for data in (np.random.default_rng(1).bytes(70) * 9, like_aedat4(60)):
        frame = lz4.frame.compress(data, **LIKE_DV)
        assert unpacked(frame, room=len(data)) == data
        for room in range(len(data)):
            assert unpacked(frame, room) is None


@settings(max_examples=400)
@given(data=st.data())
def test_a_damaged_frame_gives_what_the_library_gives_or_nothing(data: st.DataObject) -> None:
    """Flipped bits, pieces cut out or put in, and room of any size: nothing written outside."""
    frame = bytearray(lz4.frame.compress(like_aedat4(60), **LIKE_DV))
    for _ in range(data.draw(st.integers(0, 4))):
        bit = data.draw(st.integers(56, 8 * len(frame) - 1))  # after the header
        frame[bit // 8] ^= 1 << bit % 8
    start = data.draw(st.integers(7, len(frame)))
    end = data.draw(st.integers(start, min(len(frame), start + 20)))
    frame[start:end] = data.draw(st.binary(max_size=40))
    found = unpacked(bytes(frame), room=data.draw(st.integers(0, 2000)))
    try:
        expected = lz4.frame.decompress(bytes(frame))
    except (RuntimeError, EOFError):
        return  # the kernel may take a block that ends in a match, which the library refuses
    assert found is None or found == expected


def test_the_end_of_a_frame_is_needed_and_nothing_may_follow_it() -> None:
    frame = lz4.frame.compress(b"events " * 99, **LIKE_DV)
    for n_bytes in range(len(frame)):
        assert unpacked(frame[:n_bytes]) is None
    assert unpacked(frame + b"\0") is None


@pytest.mark.parametrize("writer", ["dv-processing", "streamvdib"])
def test_packets_of_both_writers_are_of_the_kind_that_is_compiled(
    writer: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("aedat4") / "made.aedat4"
    size = SensorSize(346, 260)
    events = some_events(size)
    if writer == "dv-processing":
        write_aedat4(path, events, size, frames=False)
    else:
        from streamvdib.events import EventPacket

        encoder = Encoder(size)
        path.write_bytes(encoder.header() + encoder.encode(EventPacket(events, 1 << 40)))
    assert path.read_bytes().startswith(MAGIC)
    container = read_container(path, "made")
    plain = np.empty(1 << 18, np.uint8)
    n_packets = 0
    with path.open("rb", buffering=0) as file:
        for chunk in chunks(file, container, container.streams[0].number):
            for at, n_bytes in chunk.places.tolist():
                assert unpack_lz4(chunk.data, at, at + n_bytes, plain) > 0
                n_packets += 1
    assert n_packets > 0
