"""WAV streams, against the standard library's writer and by hand."""

import io
import struct
import wave

import numpy as np
import pytest

from streamvdib.errors import RecordingError, TruncatedRecordingError
from streamvdib.sources.wav import WavReader, read_wav


def header(kind: int, n_channels: int, bits: int, n_bytes: int, more: bytes = b"") -> bytes:
    layout = struct.pack("<HHIIHH", kind, n_channels, 8_000, 0, 0, bits) + more
    return (
        b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(layout)) + layout
        + b"data" + struct.pack("<I", n_bytes)
    )  # fmt: skip


def test_what_the_standard_library_wrote_is_read() -> None:
    """Oracle: the module wave."""
    values = np.array([[0, 16_384], [-32_768, 0]], dtype="<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((2, 2, 11_025, 2, "NONE", "not compressed"))
        file.writeframes(values.tobytes())
    rate_hz, samples = read_wav(io.BytesIO(buffer.getvalue()), "a.wav")
    assert rate_hz == 11_025
    np.testing.assert_allclose(samples, [0.25, -0.5])


@pytest.mark.parametrize(
    ("kind", "bits", "data"),
    [
        (1, 8, bytes([128, 192, 0])),
        (1, 16, struct.pack("<3h", 0, 16_384, -32_768)),
        (1, 24, b"\0\0\0" + b"\0\0\x40" + b"\0\0\x80"),
        (1, 32, struct.pack("<3i", 0, 1 << 30, -(1 << 31))),
        (3, 32, struct.pack("<3f", 0.0, 0.5, -1.0)),
    ],
)
def test_every_kind_of_sample_gives_the_same_numbers(kind: int, bits: int, data: bytes) -> None:
    """By hand: 0, a half, and the most negative one."""
    _, samples = read_wav(io.BytesIO(header(kind, 1, bits, len(data)) + data), "a.wav")
    np.testing.assert_allclose(samples, [0.0, 0.5, -1.0])


def test_a_recorder_that_writes_to_a_pipe_leaves_the_size_open() -> None:
    data = struct.pack("<4h", 1, 2, 3, 4)
    for size in (0, 0xFFFFFFFF):
        _, samples = read_wav(io.BytesIO(header(1, 1, 16, size) + data), "pipe")
        assert len(samples) == 4


def test_what_follows_the_samples_is_not_read_as_samples() -> None:
    data = struct.pack("<2h", 1, 2) + b"LIST" + bytes(40)
    _, samples = read_wav(io.BytesIO(header(1, 1, 16, 4) + data), "a.wav")
    assert len(samples) == 2


def test_blocks_join_to_the_whole() -> None:
    data = np.arange(1_000, dtype="<i2").tobytes()
    reader = WavReader(io.BytesIO(header(1, 1, 16, len(data)) + data), "a.wav")
    blocks = list(reader.blocks(64))
    assert [len(block) for block in blocks] == [64] * 15 + [40]
    np.testing.assert_array_equal(np.concatenate(blocks) * 32_768, np.arange(1_000))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"OggS" + bytes(40), "RIFF....WAVE"),
        (header(85, 1, 16, 4), "PCM"),
        (header(1, 0, 16, 4), "channels"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "format"),
        (b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff", "junk"),
    ],
)
def test_what_is_no_sound_is_named_in_the_error(content: bytes, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        read_wav(io.BytesIO(content), "odd.wav")


@pytest.mark.parametrize("n_bytes", [12, 20, 30])
def test_a_file_cut_off_in_its_header_is_truncated(n_bytes: int) -> None:
    with pytest.raises(TruncatedRecordingError, match=f"byte {n_bytes}"):
        read_wav(io.BytesIO(header(1, 1, 16, 4)[:n_bytes]), "cut.wav")
