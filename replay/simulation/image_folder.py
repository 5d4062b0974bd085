"""A folder of images as a film, and the events that a camera would see in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamvdib.errors import ConfigurationError, RecordingError
from streamvdib.events import EventPacket, SensorSize

from .camera import EventCamera
from .pixel import PixelModel

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".webp"}


class ImageFolder:
    """Images of one size in the order of their names.

    Memory: the list of names; one image at a time.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder and take the size of the first image.

        Raises:
            RecordingError: it has fewer than two images, or the first cannot be read.
        """
        found = folder.iterdir() if folder.is_dir() else iter(())
        self.paths = sorted(path for path in found if path.suffix.lower() in SUFFIXES)
        if len(self.paths) < 2:
            raise RecordingError(
                f"a film must be a folder with two or more images ({', '.join(sorted(SUFFIXES))}); "
                f"{folder} has {len(self.paths)}"
            )
        first = _read(self.paths[0])
        self.sensor_size = SensorSize(first.shape[1], first.shape[0])

    def packets(
        self, frames_per_second: float, pixel: PixelModel | None = None, *, seed: int = 0
    ) -> Iterator[EventPacket]:
        """The events between each image and the next; the first image is at time 0."""
        if not frames_per_second > 0:
            raise ConfigurationError(f"frames per second must be positive; got {frames_per_second}")
        camera = EventCamera(self.sensor_size, pixel, seed=seed)
        for number, path in enumerate(self.paths):
            image = _read(path)
            if image.shape != (self.sensor_size.height, self.sensor_size.width):
                raise RecordingError(
                    f"all images of a film must be of one size, {self.sensor_size}; {path.name} "
                    f"is {image.shape[1]}x{image.shape[0]}"
                )
            t_us = round(number * 1e6 / frames_per_second)
            yield EventPacket(camera.push(t_us, image), t_us + 1)


def _read(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L"), np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise RecordingError(f"{path} must be an image that can be read; {error}") from error
