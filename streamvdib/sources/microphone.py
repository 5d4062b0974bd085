"""Blocks of samples from a microphone, through the optional package sounddevice."""

from __future__ import annotations

import importlib
import queue
from collections.abc import Iterator
from typing import Any

import numpy as np

from streamvdib.errors import LiveSourceError, MissingExtraError
from streamvdib.sources.wav import Samples

QUEUE_BLOCKS = 64
SILENT_S = 5.0


def microphone_blocks(
    device: str, rate_hz: int, n_samples: int, counters: dict[str, int]
) -> Iterator[Samples]:
    """Blocks of ``n_samples``, as they are heard; ends never.

    Memory: at most ``QUEUE_BLOCKS`` blocks; what comes on top is lost and counted in
    ``lost_blocks``.

    Args:
        device: name or number of the device; empty for the system's own choice.
        rate_hz: sampling rate.
        n_samples: in a block.
        counters: ``lost_blocks`` is raised here.

    Raises:
        MissingExtraError: sounddevice is not installed.
        LiveSourceError: the PortAudio library is not there, or the device cannot be opened or
            falls silent for good.
    """
    try:
        sounddevice = importlib.import_module("sounddevice")
    except ImportError as error:
        raise MissingExtraError(
            "hearing a microphone", extra="microphone", missing="sounddevice"
        ) from error
    except OSError as error:  # sounddevice comes without it on Linux
        raise LiveSourceError(
            f"microphone: the PortAudio library must be installed; {error}. On Debian and Ubuntu: "
            "apt install libportaudio2. Or pipe sound in: arecord ... | streamvdib run sound:-"
        ) from error
    heard: queue.Queue[Samples] = queue.Queue(QUEUE_BLOCKS)

    def on_block(samples: Any, *_: object) -> None:
        try:
            heard.put_nowait(np.array(samples[:, 0], dtype=np.float32))
        except queue.Full:
            counters["lost_blocks"] = counters.get("lost_blocks", 0) + 1

    chosen = int(device) if device.isdigit() else device or None
    try:
        stream = sounddevice.InputStream(
            samplerate=rate_hz, blocksize=n_samples, channels=1, device=chosen, callback=on_block
        )
    except Exception as error:
        raise LiveSourceError(
            f"microphone: a device must be there and take {rate_hz} Hz; {error}. Name another "
            "with microphone:?device=NAME, or another rate with rate_hz=."
        ) from error
    with stream:
        while True:
            try:
                yield heard.get(timeout=SILENT_S)
            except queue.Empty:
                raise LiveSourceError(
                    f"microphone: samples must come within {SILENT_S:g} s; none came. Check that "
                    "the device is not muted by the system."
                ) from None
