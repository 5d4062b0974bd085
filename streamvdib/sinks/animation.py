"""An animated GIF that is valid after every frame, however the run ends."""

from __future__ import annotations

from pathlib import Path

from PIL import GifImagePlugin, Image

from streamvdib.engine import Frame
from streamvdib.errors import SinkError
from streamvdib.sinks.rendering import GrayImage

_LOOP_FOREVER = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_TRAILER = b";"


class AnimationSink:
    """Appends frames to a GIF; the trailer is overwritten by the next frame. Memory: one frame."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path = path
        self.duration_ms = max(20, round(1000 / frames_per_second))
        try:
            self.file = path.open("wb")
        except OSError as error:
            raise SinkError(f"an animation requires a file to write to; {error}") from None

    def push(self, frame: Frame, picture: GrayImage) -> None:
        """Append one frame."""
        image = Image.fromarray(picture)
        try:
            if self.file.tell() == 0:
                self.file.write(b"".join(GifImagePlugin.getheader(image)[0]) + _LOOP_FOREVER)
            else:
                self.file.seek(-len(_TRAILER), 2)
            data = GifImagePlugin.getdata(image, duration=self.duration_ms)
            self.file.write(b"".join(data) + _TRAILER)
            self.file.flush()
        except OSError as error:
            raise SinkError(
                f"frame {frame.step} could not be added to {self.path}; {error}"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self.file.close()
