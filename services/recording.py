"""Recording on request: the raw events of every stream to files named, never by path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamvdib.replay.recorder import Recorder, RecorderStatus

from streamvdib.errors import ConfigurationError, ServiceError
from streamvdib.events import EventPacket, SensorSize

SUFFIX = ".svr"


class RecordingSwitch:
    """Starts and stops recorders; used by the engine's thread.

    Args:
        folder: where files go; None where recording is not allowed.
        sensors: sensor size by stream.
    """

    def __init__(self, folder: Path | None, sensors: Mapping[str, SensorSize]) -> None:
        self._folder = folder
        self._sensors = dict(sensors)
        self._recorders: dict[str, Recorder] = {}

    def push(self, stream: str, packet: EventPacket) -> None:
        """Record a packet if recording is on."""
        recorder = self._recorders.get(stream)
        if recorder is not None:
            recorder.push(packet)

    def start(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to record every stream; an existing file is never replaced."""
        if self._folder is None:
            raise ServiceError("recording needs a folder; start the service with --records FOLDER")
        if self._recorders:
            raise ServiceError("a recording is running; end it with record_stop")
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = {
            stream: self._folder / f"{arguments['name']}-{stream}{SUFFIX}"
            for stream in self._sensors
        }
        for path in paths.values():
            if path.exists():
                raise ConfigurationError(f"{path.name} exists and is kept; choose another name")
        self._recorders = {
            stream: Recorder(path, self._sensors[stream]) for stream, path in paths.items()
        }
        return {"files": [path.name for path in paths.values()]}

    def stop(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the files."""
        if not self._recorders:
            raise ServiceError("no recording is running; begin one with record_start")
        return self.close()

    def close(self) -> dict[str, Any]:
        """Complete what is being recorded, if anything; safe to call twice."""
        recorders, self._recorders = self._recorders, {}
        for recorder in recorders.values():
            recorder.close()
        return {"recordings": [_told(recorder.status()) for recorder in recorders.values()]}

    def dropped(self) -> dict[str, int]:
        """What the disk was too slow for."""
        n_dropped = sum(recorder.status().n_dropped for recorder in self._recorders.values())
        return {"record": n_dropped} if n_dropped else {}


def _told(status: RecorderStatus) -> dict[str, Any]:
    """What a client is told of a file: its name, and not where it lies."""
    told = {"file": Path(status.path).name, "events": status.n_written, "dropped": status.n_dropped}
    return told if status.error is None else {**told, "error": str(status.error)}
