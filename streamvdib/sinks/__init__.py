"""Where frames go: a callback, image files, an animation, a video.

To add one, write its file and its line in ``open_sink``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from streamvdib.engine import Frame
from streamvdib.errors import ConfigurationError
from streamvdib.sinks.rendering import GrayImage


class Sink(Protocol):
    """Takes frames in order. ``close`` is safe to call twice; what was written stays valid."""

    def push(self, frame: Frame, picture: GrayImage) -> None:
        """Take one frame, and its picture as a person should see it, (height, width) of u8."""

    def close(self) -> None:
        """Finish what is open."""


def open_sink(path: str | Path, *, frames_per_second: float = 25.0) -> Sink:
    """The sink that a path asks for: a folder of PNG files, ``.gif``, ``.mp4`` or ``.npz``.

    Raises:
        ConfigurationError: the ending names no sink.
        SinkError: the place cannot be written to.
    """
    target = Path(path)
    if target.suffix == "":
        from streamvdib.sinks.images import ImageFolderSink

        return ImageFolderSink(target)
    if target.suffix == ".gif":
        from streamvdib.sinks.animation import AnimationSink

        return AnimationSink(target, frames_per_second)
    if target.suffix == ".mp4":
        from streamvdib.sinks.video import VideoSink

        return VideoSink(target, frames_per_second)
    raise ConfigurationError(f"--out must be a folder, a .gif or an .mp4 file; got {str(target)!r}")
