"""Sound as events: files, pipes and a microphone."""

import io
import struct
import sys
import types
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamvdib.errors import (
    ConfigurationError,
    LiveSourceError,
    MissingExtraError,
    RecordingError,
)
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources import open_source
from streamvdib.sources.mel import MelFrames, MelSettings, MelWindow
from streamvdib.sources.source import EventSource

RATE = 8_000


def speech_like(seconds: float = 0.3) -> np.ndarray:
    """A chirp in noise, int16."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(size=len(time)) * 200
    return (8_000 * np.sin(2 * np.pi * (300 + 2_000 * time) * time) + noise).astype("<i2")


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "word.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        file.writeframes(speech_like().tobytes())
    return path


def events_of(packets: list[EventPacket]) -> np.ndarray:
    return np.concatenate([packet.events for packet in packets])


def test_a_wav_file_is_recognised_and_ticks_every_hop(wav: Path) -> None:
    source = open_source(wav)
    packets = list(source)
    assert isinstance(source, EventSource)
    assert (source.sensor_size, source.is_live) == (SensorSize(32, 39), False)
    assert [packet.end_us for packet in packets] == [20_000 * (k + 1) for k in range(20)]
    for packet in packets:
        times = packet.events["t_us"]
        assert (np.diff(times) >= 0).all()
        assert (times >= packet.end_us - 20_000).all()
        assert (times < packet.end_us).all()
        assert (packet.events["x"] < 32).all()
        assert (packet.events["y"] < 39).all()


def test_pixels_fire_as_often_as_they_are_bright(wav: Path) -> None:
    """Oracle: the pictures themselves; 10 steps of every picture."""
    mel, window = MelFrames(RATE, MelSettings()), MelWindow(MelSettings())
    samples = np.concatenate((speech_like() / 32_768, np.zeros(800)))
    pictures = []
    for frame in mel.push(samples):
        window.push(frame)
        pictures.append(window.picture().copy())
    counts = np.zeros((39, 32))
    for packet in open_source(wav):
        np.add.at(counts, (packet.events["y"], packet.events["x"]), 1)
    expected = 10 * np.sum(pictures, axis=0)
    deviation = np.sqrt(10 * np.sum([p * (1 - p) for p in pictures], axis=0) + 1e-9)
    assert (counts[expected == 0] == 0).all()
    assert np.abs((counts - expected) / (deviation + 0.1)).max() < 6


def test_the_same_sound_gives_the_same_events_and_another_seed_others(wav: Path) -> None:
    source = open_source(wav)
    first, second = events_of(list(source)), events_of(list(source))
    other = events_of(list(open_source(wav, seed=1)))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_max_rate_thins_the_spikes(wav: Path) -> None:
    n_all = len(events_of(list(open_source(wav))))
    n_half = len(events_of(list(open_source(wav, max_rate=0.5))))
    assert 0.45 < n_half / n_all < 0.55


def test_closing_twice_is_safe_and_iterating_starts_again(wav: Path) -> None:
    source = open_source(wav)
    first = next(iter(source))
    source.close()
    source.close()
    assert next(iter(source)).end_us == first.end_us


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step_us": 3_000}, "divide"),
        ({"max_rate": 1.5}, "max_rate"),
        ({"tail_us": -1}, "tail_us"),
        ({"colour": 1}, "colour"),
        ({"sensor_size": SensorSize(10, 10)}, "32x39"),
    ],
)
def test_options_that_cannot_be_meant_are_errors(
    wav: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        open_source(wav, **options)


def test_a_damaged_file_is_an_error_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(RecordingError, match=r"cut\.wav"):
        open_source(path)


def as_standard_input(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))


def test_raw_samples_on_standard_input_give_the_events_of_the_file(
    wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_standard_input(monkeypatch, speech_like().tobytes())
    source = open_source("sound:-")
    assert source.is_live
    np.testing.assert_array_equal(events_of(list(source)), events_of(list(open_source(wav))))


def test_a_wav_header_on_standard_input_tells_the_rate(
    wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_standard_input(monkeypatch, wav.read_bytes())
    source = open_source("sound:-?rate_hz=44100")
    np.testing.assert_array_equal(events_of(list(source)), events_of(list(open_source(wav))))


def test_sound_that_is_not_standard_input_is_given_by_its_path() -> None:
    with pytest.raises(ConfigurationError, match="by its path"):
        open_source("sound:word.wav")


class FakeStream:
    """Stands in for sounddevice.InputStream: hears the chirp as soon as it is entered."""

    def __init__(self, *, callback: Callable[..., None], blocksize: int, **_: object) -> None:
        self.callback, self.blocksize = callback, blocksize

    def __enter__(self) -> "FakeStream":
        samples = (speech_like() / 32_768).astype(np.float32)
        for block in np.split(samples, range(self.blocksize, len(samples), self.blocksize)):
            self.callback(block[:, None], len(block), None, None)
        return self

    def __exit__(self, *_: object) -> None:
        pass


def with_device(monkeypatch: pytest.MonkeyPatch, stream: Callable[..., Any]) -> None:
    fake = types.SimpleNamespace(InputStream=stream)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


def heard(source: EventSource, n_packets: int) -> Iterator[EventPacket]:
    for _, packet in zip(range(n_packets), source, strict=False):
        yield packet


def test_a_microphone_gives_the_events_of_the_file(
    wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_device(monkeypatch, FakeStream)
    source = open_source("microphone:?device=2")
    packets = list(heard(source, 15))
    source.close()
    file = [packet for packet in open_source(wav) if packet.end_us <= 300_000]
    np.testing.assert_array_equal(events_of(packets), events_of(file))


def test_blocks_that_nobody_takes_are_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Talkative(FakeStream):
        def __enter__(self) -> "Talkative":
            for _ in range(70):
                self.callback(np.zeros((160, 1), dtype=np.float32), 160, None, None)
            return self

    with_device(monkeypatch, Talkative)
    source = open_source("microphone:")
    list(heard(source, 3))
    assert source.counters == {"lost_blocks": 6}
    source.close()


def test_a_microphone_that_is_not_there_is_a_live_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise OSError("no default input device")

    with_device(monkeypatch, broken)
    with pytest.raises(LiveSourceError, match="no default input device"):
        next(iter(open_source("microphone:")))


def test_a_silent_device_is_a_live_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(FakeStream):
        def __enter__(self) -> "Silent":
            return self

    with_device(monkeypatch, Silent)
    monkeypatch.setattr("streamvdib.sources.microphone.SILENT_S", 0.01)
    with pytest.raises(LiveSourceError, match="none came"):
        next(iter(open_source("microphone:")))


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"streamvdib\[microphone\]"):
        next(iter(open_source("microphone:")))


def test_an_odd_byte_at_the_end_of_raw_samples_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    as_standard_input(monkeypatch, struct.pack("<160h", *([1000] * 160)) + b"\x01")
    packets = list(open_source("sound:-?tail_us=0"))
    assert [packet.end_us for packet in packets] == [20_000]
