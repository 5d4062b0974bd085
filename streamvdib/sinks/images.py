"""A folder of PNG files, one per frame, named by its step."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from streamvdib.engine import Frame
from streamvdib.errors import SinkError
from streamvdib.sinks.rendering import GrayImage


class ImageFolderSink:
    """Writes ``frame-<step>-<end_us>us.png``; a file is whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"frames require a folder to write to; {error}") from None

    def push(self, frame: Frame, picture: GrayImage) -> None:
        """Write one file."""
        path = self.folder / f"frame-{frame.step:08d}-{frame.end_us}us.png"
        part = path.with_suffix(".part")
        try:
            Image.fromarray(picture).save(part, format="PNG")
            part.replace(path)
        except OSError as error:
            raise SinkError(
                f"frame {frame.step} could not be written; {error}. The files before it are whole."
            ) from None

    def close(self) -> None:
        """Nothing is open between frames."""
