"""Checkpoints on request: copied between two steps, written by a thread of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamvdib.engine import Engine


class SnapshotKeeper:
    """Numbered checkpoints of one engine in one folder.

    Memory: one copy of the engine's state per snapshot that waits to be written.

    Args:
        folder: one service writes in it at a time.
    """

    def __init__(self, folder: Path) -> None:
        from streamvdib.checkpoints import Checkpoints

        self._checkpoints = Checkpoints(folder)
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshots")

    def save(self, engine: Engine) -> Future[dict[str, Any]]:
        """Copy the state now and write it elsewhere; the checkpoint's number in the end."""
        state = engine.snapshot()
        return self._writer.submit(lambda: {"checkpoint": self._checkpoints.write(state)})

    def restore(self, engine: Engine, number: int | None) -> dict[str, Any]:
        """Make the engine go on from a checkpoint, the newest good one if none is named.

        Raises:
            CheckpointError: there is none that can be believed; the engine is as it was.
        """
        checkpoint = self._checkpoints.load(number, fall_back=number is None)
        engine.restore(checkpoint.state)
        return {"checkpoint": checkpoint.generation, "step": engine.step - 1}

    def close(self) -> None:
        """Write what waits and let others write here."""
        self._writer.shutdown()
        self._checkpoints.close()
