"""Sound as events: files, pipes and a microphone."""

import io
import struct
import sys
import types
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from streamvdib.errors import (
    ConfigurationError,
    LiveSourceError,
    MissingExtraError,
    RecordingError,
    TruncatedRecordingError,
)
from streamvdib.events import EventPacket, SensorSize
from streamvdib.sources import open_source
from streamvdib.sources.mel import MelFrames, MelSettings, MelWindow
from streamvdib.sources.source import EventSource
from tests.sources.recording_contract import check_contract

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


def test_a_sound_keeps_the_contract_of_recordings(wav: Path) -> None:
    assert len(check_contract(open_source(wav))) > 1_000


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
    """Stands in for sounddevice.InputStream: hears the chirp as soon as it is entered.

    It takes the arguments of sounddevice 0.5 by their names and no others, hands the callback
    (indata, frames, time, status) as PortAudio's thread does, with one buffer that it uses again,
    and blocks of float32, the package's own default.
    """

    opened: ClassVar[list["FakeStream"]] = []

    def __init__(
        self,
        samplerate: float | None = None,
        blocksize: int | None = None,
        device: int | str | None = None,
        channels: int | None = None,
        dtype: str | None = None,
        latency: object = None,
        extra_settings: object = None,
        callback: Callable[..., None] | None = None,
        finished_callback: object = None,
        clip_off: object = None,
        dither_off: object = None,
        never_drop_input: object = None,
        prime_output_buffers_using_stream_callback: object = None,
    ) -> None:
        assert callback is not None
        self.samplerate, self.device, self.channels = samplerate, device, channels
        self.callback, self.blocksize = callback, blocksize or 512
        self.is_closed = False
        self.opened.append(self)

    def __enter__(self) -> "FakeStream":
        samples = (speech_like() / 32_768).astype(np.float32)
        buffer = np.empty((self.blocksize, 1), dtype=np.float32)
        for first in range(0, len(samples) - self.blocksize + 1, self.blocksize):
            buffer[:, 0] = samples[first : first + self.blocksize]
            self.callback(buffer, self.blocksize, None, None)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True


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
    stream = FakeStream.opened[-1]
    assert (stream.samplerate, stream.device, stream.channels) == (RATE, 2, 1)
    assert not stream.is_closed
    source.close()
    assert stream.is_closed
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


@pytest.mark.parametrize(
    ("address", "device", "rate_hz"),
    [("microphone:", None, 8_000), ("microphone:?device=USB&rate_hz=16000", "USB", 16_000)],
)
def test_device_and_rate_are_handed_to_the_driver(
    monkeypatch: pytest.MonkeyPatch, address: str, device: str | None, rate_hz: int
) -> None:
    with_device(monkeypatch, FakeStream)
    source = open_source(address)
    next(iter(source))
    source.close()
    stream = FakeStream.opened[-1]
    assert (stream.device, stream.samplerate) == (device, rate_hz)
    assert stream.blocksize == rate_hz // 50, "a block is a hop of 20 ms"


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


def test_without_the_library_of_the_package_the_error_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The package is there and raises OSError while it is imported, as sounddevice does."""
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LiveSourceError, match=r"PortAudio library not found.*libportaudio2"):
        next(iter(open_source("microphone:")))


def test_an_odd_byte_at_the_end_of_raw_samples_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    as_standard_input(monkeypatch, struct.pack("<160h", *([1000] * 160)) + b"\x01")
    packets = list(open_source("sound:-?tail_us=0"))
    assert [packet.end_us for packet in packets] == [20_000]


def as_wav(samples: np.ndarray, rate_hz: int, n_bytes: int, n_channels: int) -> bytes:
    """Samples in [-1, 1) as WAV of 1, 2 or 3 bytes each, every channel the same."""
    whole = np.round(samples * 2 ** (8 * n_bytes - 1)).astype("<i4").repeat(n_channels)
    if n_bytes == 1:
        data = (whole + 128).astype("u1").tobytes()
    else:
        data = whole.view("u1").reshape(-1, 4)[:, :n_bytes].tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((n_channels, n_bytes, rate_hz, 0, "NONE", "not compressed"))
        file.writeframes(data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("rate_hz", "n_bytes", "n_channels", "least"),
    [(RATE, 1, 1, 0.98), (RATE, 3, 1, 0.999), (RATE, 2, 2, 0.999), (44_100, 3, 2, 0.97)],
)
def test_the_same_sound_in_other_files_makes_the_same_picture(
    wav: Path, tmp_path: Path, rate_hz: int, n_bytes: int, n_channels: int, least: float
) -> None:
    """Law: 8 or 24 bits, two channels, 44.1 kHz: how often each pixel fires correlates.

    Eight bits lose what is quieter than 1/128, and 44.1 kHz is drawn between the samples.
    """

    def picture_of(path: Path) -> np.ndarray:
        counts = np.zeros((39, 32))
        np.add.at(counts, tuple(events_of(list(open_source(path)))[name] for name in "yx"), 1)
        return counts.ravel()

    there = np.arange(len(speech_like())) / RATE
    wanted = np.arange(len(there) * rate_hz // RATE) / rate_hz
    samples = np.interp(wanted, there, speech_like() / 32_768)
    other = tmp_path / "other.wav"
    other.write_bytes(as_wav(samples, rate_hz, n_bytes, n_channels))
    assert np.corrcoef(picture_of(other), picture_of(wav))[0, 1] > least


def test_a_file_that_is_cut_off_is_an_error_and_lenient_takes_what_is_there(wav: Path) -> None:
    whole = events_of(list(open_source(wav)))
    wav.write_bytes(wav.read_bytes()[:-1_000])
    with pytest.raises(TruncatedRecordingError, match=r"byte 3844, 1000 bytes short.*--lenient"):
        list(open_source(wav))
    source = open_source(wav, lenient=True, tail_us=0)
    found = events_of(list(source))
    assert source.counters == {"missing_bytes": 1_000}
    np.testing.assert_array_equal(found, whole[whole["t_us"] < 220_000])


def test_a_pipe_that_ends_before_its_header_says_is_taken_as_it_came(
    wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorders that write to a pipe say a size that they cannot know."""
    content = bytearray(wav.read_bytes())
    content[40:44] = (0x7FFF_F000).to_bytes(4, "little")
    as_standard_input(monkeypatch, bytes(content))
    found = events_of(list(open_source("sound:-")))
    np.testing.assert_array_equal(found, events_of(list(open_source(wav))))


def test_a_file_without_samples_is_an_error_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.write_bytes(as_wav(np.zeros(0), RATE, 2, 1))
    with pytest.raises(RecordingError, match=r"empty\.wav: a sound must hold samples"):
        open_source(path)
