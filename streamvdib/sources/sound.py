"""Sound as events: an ear-like sensor whose pixels are the mel spectrogram of the last moments.

    samples -> mel frames every hop -> picture (n_channels, n_frames) -> Poisson spikes per step

Row y is mel channel y (low first), column x the age of a frame (the newest last), so a word
walks through the picture from right to left while it is spoken. In every step of ``step_us`` a
pixel fires with the probability of its brightness times ``max_rate``; the draws are a function
of the seed, so the same sound gives the same events. Events then go the way of all events:
binned in steps, into a model that takes (1, n_channels, n_frames).

    streamvdib run word.wav --model audio-to-image
    arecord -t raw -f S16_LE -r 8000 | streamvdib run 'sound:-' --model audio-to-image
    streamvdib run microphone: --model audio-to-image
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from streamvdib.errors import ConfigurationError, RecordingError, TruncatedRecordingError
from streamvdib.events import EventPacket, SensorSize, as_events, empty_events
from streamvdib.randomness import draws, lane_keys
from streamvdib.sources.address import Address
from streamvdib.sources.mel import MelFrames, MelSettings, MelWindow, Samples
from streamvdib.sources.options import ReadOptions
from streamvdib.sources.reading import REMEDY, count
from streamvdib.sources.wav import CONVERT, PCM, WavReader, read_fully, samples_of

DEFAULT_RATE_HZ = 8_000


@dataclass(frozen=True)
class SoundSettings:
    """How sound becomes events; the defaults are those of the audio-to-image model.

    Attributes:
        mel: the spectrogram.
        step_us: from one chance to fire to the next, microseconds; divides ``mel.hop_us``.
        max_rate: probability of a spike of the brightest pixel in a step.
        seed: of the draws.
        tail_us: silence after the end of a recording, so that its last sound is seen.
    """

    mel: MelSettings = field(default_factory=MelSettings)
    step_us: int = 2_000
    max_rate: float = 1.0
    seed: int = 0
    tail_us: int = 100_000

    def __post_init__(self) -> None:
        if self.step_us < 1 or self.mel.hop_us % self.step_us:
            raise ConfigurationError(
                f"step_us must divide the hop of {self.mel.hop_us} us; got {self.step_us}"
            )
        if not 0.0 < self.max_rate <= 1.0:
            raise ConfigurationError(f"max_rate must lie in (0, 1]; got {self.max_rate}")
        if self.tail_us < 0:
            raise ConfigurationError(f"tail_us must be 0 or more; got {self.tail_us}")


class SoundEncoder:
    """Samples in, packets of events out, one per hop. Memory: the mel window.

    Args:
        rate_hz: of the samples.
        settings: how sound becomes events.
    """

    def __init__(self, rate_hz: int, settings: SoundSettings) -> None:
        self.settings = settings
        self.rate_hz = rate_hz
        self._frames = MelFrames(rate_hz, settings.mel)
        self._window = MelWindow(settings.mel)
        self._keys = lane_keys(settings.seed, 1)
        self._n_steps = 0  # given out

    def push(self, samples: Samples) -> Iterator[EventPacket]:
        """Take samples; give a packet for every frame that they complete."""
        for frame in self._frames.push(samples):
            self._window.push(frame)
            yield self._packet()

    def _packet(self) -> EventPacket:
        """The steps in which the present picture is shown."""
        step_us, hop_us = self.settings.step_us, self.settings.mel.hop_us
        rates = self._window.picture() * np.float32(self.settings.max_rate)
        n_steps = hop_us // step_us
        start_us = self._n_steps * step_us
        self._n_steps += n_steps
        end_us = self._n_steps * step_us
        if not rates.any():
            return EventPacket(empty_events(), end_us)
        first = start_us // step_us
        uniform = draws(self._keys, first, n_steps, rates.size)[:, 0].numpy()
        step, pixel = np.nonzero(uniform < rates.reshape(-1))
        y, x = np.divmod(pixel, self.settings.mel.n_frames)
        times = start_us + step * step_us
        return EventPacket(as_events(times, x, y, np.ones(len(x), dtype=bool)), end_us)


OpenBlocks = Callable[[dict[str, int]], tuple[int, Iterator[Samples]]]
"""Opens the sound from its beginning: its rate in Hz and blocks of samples."""


class SoundSource:
    """A file, a pipe or a microphone, as an ``EventSource``.

    Args:
        name: for messages.
        open_blocks: opens the sound; called once per iteration.
        settings: how sound becomes events.
        is_live: whether it goes on by itself.
        format_name: for ``info``.
    """

    def __init__(
        self,
        name: str,
        open_blocks: OpenBlocks,
        settings: SoundSettings,
        *,
        is_live: bool,
        format_name: str,
    ) -> None:
        self.name, self.is_live, self.format_name = name, is_live, format_name
        self.settings = settings
        self.sensor_size = SensorSize(settings.mel.n_frames, settings.mel.n_channels)
        self.counters: dict[str, int] = {}
        self._open_blocks = open_blocks
        self._blocks: list[Any] = []

    def __iter__(self) -> Iterator[EventPacket]:
        self.counters.clear()
        rate_hz, blocks = self._open_blocks(self.counters)
        self._blocks.append(blocks)
        return self._packets(rate_hz, blocks)

    def close(self) -> None:
        """Close the file or device; iterating a recording again starts again."""
        for blocks in self._blocks:
            if not getattr(blocks, "gi_running", False):
                blocks.close()
        self._blocks.clear()

    def _packets(self, rate_hz: int, blocks: Iterator[Samples]) -> Iterator[EventPacket]:
        encoder = SoundEncoder(rate_hz, self.settings)
        for samples in blocks:
            yield from encoder.push(samples)
        tail = round(self.settings.tail_us * rate_hz / 1e6)
        yield from encoder.push(np.zeros(tail, dtype=np.float32))


def recognises(head: bytes, path: Path) -> bool:
    """Whether the file is a WAV file."""
    del path
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"


def open_recording(path: Path, options: ReadOptions) -> SoundSource:
    """Open a WAV file. Options: the fields of ``SoundSettings`` and ``MelSettings``."""
    given = {name: str(value) for name, value in options.format_options.items()}
    settings = _take_settings(Address(str(path), given))
    _check_size(options.sensor_size, settings, str(path))
    with path.open("rb") as file:  # what is wrong with it is said now
        if next(WavReader(file, str(path)).blocks(1), None) is None:
            raise RecordingError(f"{path}: a sound must hold samples; there are none. {CONVERT}")

    def open_blocks(counters: dict[str, int]) -> tuple[int, Iterator[Samples]]:
        with path.open("rb") as file:
            rate_hz = WavReader(file, str(path)).rate_hz
        return rate_hz, _file_blocks(path, counters, lenient=options.lenient)

    return SoundSource(str(path), open_blocks, settings, is_live=False, format_name="WAV")


def open_sound(
    uri: str,
    *,
    sensor_size: SensorSize | None = None,
    lenient: bool = False,  # noqa: ARG001 - every opener takes it
    packet_us: int = 0,  # noqa: ARG001 - a packet is a hop
    **options: object,
) -> SoundSource:
    """Open ``sound:-`` (standard input) or ``microphone:``.

    Options in the address: ``rate_hz`` (of raw samples or of the device), ``device``, and the
    fields of ``SoundSettings`` and ``MelSettings``. On standard input a WAV header is recognised;
    otherwise samples are 16-bit, little-endian, one channel.
    """
    scheme, _, place = uri.partition("?")[0].partition(":")
    address = Address(uri, options)
    rate_hz = address.take("rate_hz", int, DEFAULT_RATE_HZ)
    device = address.take("device", str, "")
    settings = _take_settings(address)
    _check_size(sensor_size, settings, uri)
    if scheme == "microphone":
        from streamvdib.sources.microphone import microphone_blocks

        def listen(counters: dict[str, int]) -> tuple[int, Iterator[Samples]]:
            return rate_hz, microphone_blocks(device, rate_hz, _hop(rate_hz, settings), counters)

        return SoundSource(uri, listen, settings, is_live=True, format_name="microphone")
    if place not in ("-", ""):
        raise ConfigurationError(
            f"sound: takes standard input, as sound:-; got {uri}. Give a WAV file by its path."
        )

    def read(counters: dict[str, int]) -> tuple[int, Iterator[Samples]]:
        del counters
        return _pipe_blocks(rate_hz, settings)

    return SoundSource("standard input", read, settings, is_live=True, format_name="sound")


def _hop(rate_hz: int, settings: SoundSettings) -> int:
    return max(1, round(settings.mel.hop_us * rate_hz / 1e6))


def _file_blocks(path: Path, counters: dict[str, int], *, lenient: bool) -> Iterator[Samples]:
    with path.open("rb") as file:
        reader = WavReader(file, str(path))
        yield from reader.blocks(1 << 14)
        if reader.n_missing and not lenient:
            raise TruncatedRecordingError(
                f"{path}: must hold as many samples as its header says; it ends at byte "
                f"{reader.offset}, {reader.n_missing} bytes short. {REMEDY}, which takes what is "
                "there."
            )
        count(counters, "missing_bytes", reader.n_missing)


def _pipe_blocks(rate_hz: int, settings: SoundSettings) -> tuple[int, Iterator[Samples]]:
    stream = sys.stdin.buffer
    head = stream.peek(4)[:4] if hasattr(stream, "peek") else b""
    if head == b"RIFF":
        reader = WavReader(stream, "standard input")
        return reader.rate_hz, reader.blocks(_hop(reader.rate_hz, settings))
    return rate_hz, _raw_blocks(_hop(rate_hz, settings))


def _raw_blocks(n_samples: int) -> Iterator[Samples]:
    while data := read_fully(sys.stdin.buffer, 2 * n_samples):
        yield samples_of(data[: len(data) // 2 * 2], PCM, 16, 1)


def _take_settings(address: Address) -> SoundSettings:
    """Settings from options; the others are refused."""
    mel, own = MelSettings(), SoundSettings()
    mel_values: dict[str, Any] = {}
    own_values: dict[str, Any] = {}
    for defaults, values in ((mel, mel_values), (own, own_values)):
        for one in fields(defaults):
            if one.name != "mel":
                default = getattr(defaults, one.name)
                values[one.name] = address.take(one.name, type(default), default)
    address.finish()
    return SoundSettings(mel=MelSettings(**mel_values), **own_values)


def _check_size(given: SensorSize | None, settings: SoundSettings, name: str) -> None:
    size = SensorSize(settings.mel.n_frames, settings.mel.n_channels)
    if given is not None and given != size:
        raise ConfigurationError(
            f"{name}: a sound's sensor has as many pixels as frames and channels, {size}; got "
            f"{given}. Leave the size away, or set n_frames and n_channels."
        )
