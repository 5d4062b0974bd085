"""A folder of checkpoints: numbered generations, of which the newest and the anchor are kept.

A generation's number only grows, whatever the step: after going back to an earlier state the next
file is still the newest. Writing is: temporary file, fsync, rename, fsync of the folder; only then
are older generations deleted. A crash at any moment leaves the generations that were there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from streamvdib.checkpoints.file import Checkpoint, encode, load_checkpoint
from streamvdib.checkpoints.position import Position
from streamvdib.disk import Disk, RealDisk
from streamvdib.engine_state import EngineState
from streamvdib.errors import CheckpointError, ConfigurationError

DEFAULT_KEEP = 3
_NAME = re.compile(r"checkpoint-(\d{10,})\.safetensors")
_ANCHOR = re.compile(r"anchor-(\d{10,})")
_TEMPORARY = ".part"


class Damaged(NamedTuple):
    """A generation that was passed over, and why."""

    generation: int
    reason: str


class Checkpoints:
    """The generations in one folder, and the right to write them. Memory: none of note.

    Args:
        folder: made if its parent exists.
        keep: newest generations to keep, beside the anchor.
        disk: where files go.

    Raises:
        CheckpointError: the folder cannot be used, or another process writes in it.
    """

    def __init__(self, folder: Path, *, keep: int = DEFAULT_KEEP, disk: Disk | None = None) -> None:
        if keep < 1:
            raise ConfigurationError(f"checkpoints to keep must be at least 1; got {keep}")
        self.folder, self.keep = Path(folder), keep
        self._disk = disk or RealDisk()
        self._unlock: Callable[[], None] | None = self._lock()
        try:
            names = self._names()
        except CheckpointError:
            self.close()
            raise
        self._sweep(names)
        numbers = [int(m[1]) for name in names if (m := _NAME.match(name))]
        self._last = max(numbers, default=0)

    @property
    def generations(self) -> list[int]:
        """Numbers of the files that are there, oldest first."""
        return sorted(int(match[1]) for name in self._names() if (match := _NAME.fullmatch(name)))

    @property
    def anchor(self) -> int | None:
        """The generation to roll back to; never deleted. None: none was chosen."""
        numbers = [int(m[1]) for name in self._names() if (m := _ANCHOR.fullmatch(name))]
        return max(numbers, default=None)

    def path(self, generation: int) -> Path:
        """The file of a generation."""
        return self.folder / f"checkpoint-{generation:010d}.safetensors"

    def write(
        self,
        state: EngineState,
        position: Position | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """Write a generation, and delete those that are no longer kept.

        Returns:
            The number of the generation.

        Raises:
            CheckpointError: the state is not finite, or the disk failed; all that was there is
                still there.
        """
        generation = self._last + 1
        data = encode(state, generation, position, extra)
        self._last = generation  # a failed attempt keeps its number: its remains may be in the way
        path = self.path(generation)
        temporary = path.with_name(path.name + _TEMPORARY)
        try:
            self._disk.write(temporary, data)
            self._disk.rename(temporary, path)
            self._disk.sync_folder(self.folder)
        except OSError as error:
            with suppress(OSError):
                self._disk.remove(temporary)
            raise CheckpointError(
                f"a checkpoint must be written to {path}; {error.strerror or error}. Older "
                "generations are untouched. Make room or mend the folder; the next one is tried "
                "in its turn."
            ) from error
        self._prune()
        return generation

    def load(self, generation: int | None = None, *, fall_back: bool = False) -> Checkpoint:
        """Read a generation.

        Args:
            generation: its number; None is the newest.
            fall_back: where it must not be believed, take the one before, and so on.

        Raises:
            CheckpointError: there is none, or it is damaged; the message says why.
        """
        if generation is not None and generation not in self.generations and not fall_back:
            raise CheckpointError(
                f"a checkpoint of {self.folder} must be one of "
                f"{', '.join(map(str, self.generations)) or 'none'}; got {generation}"
            )
        checkpoint, damaged = self.find(generation)
        if damaged and not fall_back:
            raise CheckpointError(damaged[0].reason)
        if checkpoint is None:
            reasons = "; ".join(one.reason for one in damaged)
            raise CheckpointError(
                f"{self.folder} must hold a checkpoint to go on from; "
                f"{reasons.rstrip('.') or 'there is none'}. Start without --resume to begin anew."
            )
        return checkpoint

    def find(self, generation: int | None = None) -> tuple[Checkpoint | None, list[Damaged]]:
        """The newest generation up to the given one that can be believed; those passed over."""
        damaged: list[Damaged] = []
        for number in reversed(self.generations):
            if generation is not None and number > generation:
                continue
            try:
                return load_checkpoint(self.path(number), self._disk), damaged
            except CheckpointError as error:
                damaged.append(Damaged(number, str(error)))
        return None, damaged

    def set_anchor(self, generation: int) -> None:
        """Keep a generation until another one is the anchor.

        Raises:
            CheckpointError: there is no such generation, or the disk failed.
        """
        if generation not in self.generations:
            raise CheckpointError(f"an anchor must be a generation that is there; got {generation}")
        before = self.anchor
        if before == generation:
            return
        name = self.folder / f"anchor-{generation:010d}"
        try:
            for other in self._disk.names(self.folder):
                if _ANCHOR.fullmatch(other) and other > name.name:
                    self._disk.remove(self.folder / other)
            self._disk.write(name, b"")
            self._disk.sync_folder(self.folder)
            for other in self._disk.names(self.folder):
                if _ANCHOR.fullmatch(other) and other != name.name:
                    self._disk.remove(self.folder / other)
        except OSError as error:
            raise CheckpointError(f"{name} must be written; {error.strerror or error}") from error

    def close(self) -> None:
        """Let others write here; safe to call twice."""
        if self._unlock is not None:
            self._unlock()
            self._unlock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self) -> Callable[[], None]:
        try:
            return self._disk.lock(self.folder)
        except BlockingIOError as error:
            raise CheckpointError(
                f"a checkpoint folder must have one writer; {self.folder}: {error.strerror}. "
                "Stop it, or give another folder."
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"a checkpoint folder must be one that can be written; {self.folder}: "
                f"{error.strerror}. Make it, or give another."
            ) from error

    def _names(self) -> list[str]:
        try:
            return self._disk.names(self.folder)
        except OSError as error:
            raise CheckpointError(
                f"{self.folder} must be a folder that can be listed; {error.strerror or error}"
            ) from error

    def _sweep(self, names: list[str]) -> None:
        """Delete what a crash left half written."""
        for name in names:
            if name.endswith(_TEMPORARY):
                with suppress(OSError):
                    self._disk.remove(self.folder / name)

    def _prune(self) -> None:
        """Delete all but the newest and the anchor; what cannot be deleted stays."""
        with suppress(OSError, CheckpointError):
            anchor = self.anchor
            for generation in self.generations[: -self.keep]:
                if generation != anchor:
                    self._disk.remove(self.path(generation))
