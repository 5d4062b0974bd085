"""Checkpoints: a folder of numbered generations, each one file that is whole or refused.

    with Checkpoints(Path("run1")) as checkpoints, CheckpointWriter(checkpoints) as writer:
        engine.restore(checkpoints.load().state)          # to go on from the newest
        writer.submit(engine.snapshot(), position)        # between packets; a copy, no waiting

``Checkpoints`` holds the lock of its folder: one writer at a time. ``load_checkpoint(path)`` reads
one file and needs no lock.
"""

from streamvdib.checkpoints.file import Checkpoint, decode, encode, load_checkpoint
from streamvdib.checkpoints.folder import Checkpoints, Damaged
from streamvdib.checkpoints.position import Position, skip_to
from streamvdib.checkpoints.writer import CheckpointWriter
from streamvdib.disk import Disk, RealDisk

__all__ = [
    "Checkpoint",
    "CheckpointWriter",
    "Checkpoints",
    "Damaged",
    "Disk",
    "Position",
    "RealDisk",
    "decode",
    "encode",
    "load_checkpoint",
    "skip_to",
]
