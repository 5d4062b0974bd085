"""An MP4 video (H.264), through PyAV, fragmented so that what was written can be played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from streamvdib.engine import Frame
from streamvdib.errors import MissingExtraError, SinkError
from streamvdib.sinks.rendering import GrayImage


class VideoSink:
    """Encodes frames as they come. Memory: what the encoder keeps, some frames."""

    def __init__(self, path: Path, frames_per_second: float) -> None:
        try:
            import av
        except ImportError:
            raise MissingExtraError("writing video", extra="video", missing="av") from None
        self._av = av
        self.path = path
        self.rate = max(1, round(frames_per_second))
        try:
            path.open("wb").close()  # the container itself opens late
            options = {"movflags": "frag_keyframe+empty_moov"}
            self.container: Any = av.open(str(path), "w", options=options)
        except OSError as error:
            raise SinkError(f"a video requires a file to write to; {error}") from None
        self.stream: Any = None

    def push(self, frame: Frame, picture: GrayImage) -> None:
        """Encode one frame; H.264 wants even sizes, so an odd side grows by one pixel."""
        picture = np.pad(picture, [(0, side % 2) for side in picture.shape], mode="edge")
        try:
            if self.stream is None:
                self.stream = self.container.add_stream("libx264", rate=self.rate)
                self.stream.height, self.stream.width = picture.shape
                self.stream.pix_fmt = "yuv420p"
            image = self._av.VideoFrame.from_ndarray(picture, format="gray")
            self.container.mux(self.stream.encode(image))
        except OSError as error:
            raise SinkError(
                f"frame {frame.step} could not be added to {self.path}; {error}"
            ) from None

    def close(self) -> None:
        """Write what the encoder still holds."""
        if self.container is None:
            return
        if self.stream is not None:
            self.container.mux(self.stream.encode())
        self.container.close()
        self.container = None
