"""``streamvdib checkpoint DIR``: what a folder of checkpoints holds, and its weights as a model."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from streamvdib.cli import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from streamvdib.checkpoints import Checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("path", type=Path, help="a folder of checkpoints, or one file")
    parser.add_argument(
        "--export", type=Path, metavar="MODEL", help="write the newest one's weights as a model"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Check every file and say what it holds; 1 if the newest must not be believed.

    Raises:
        CheckpointError: there is none at all.
    """
    from streamvdib.checkpoints import load_checkpoint
    from streamvdib.errors import CheckpointError

    newest: Checkpoint | None = None
    reason = ""  # why the newest was refused
    for path in _files(arguments.path):
        try:
            checkpoint = load_checkpoint(path)
        except CheckpointError as error:
            _tell(f"{path.name}: REFUSED: {error}")
            newest, reason = None, str(error)
        else:
            _tell(f"{path.name}: {_summary(checkpoint)}")
            newest = checkpoint
    if newest is None:
        if arguments.export is not None:
            raise CheckpointError(reason)
        return EXIT_FAILED
    if arguments.export is not None:
        _export(newest, arguments.export)
    return EXIT_OK


def _files(path: Path) -> list[Path]:
    """The checkpoint files of a folder, oldest first; a file as it is."""
    from streamvdib.errors import CheckpointError

    files = sorted(path.glob("checkpoint-*.safetensors")) if path.is_dir() else [path]
    if not files or not os.path.lexists(path):
        raise CheckpointError(
            f"{path} must be a folder with checkpoint-*.safetensors, or one of those; "
            f"there is {'none in it' if path.is_dir() else 'nothing'}"
        )
    return files


def _summary(checkpoint: Checkpoint) -> str:
    about, position = checkpoint.state.about, checkpoint.position
    name = about.get("configuration", {}).get("description", {}).get("name", "unnamed")
    return (
        f"generation {checkpoint.generation}, model {name}, step {about.get('step', 0):,}, "
        f"{position.n_events:,} events of {position.name or 'its source'}, "
        f"streamvdib {checkpoint.fingerprint.get('streamvdib', 'unknown')}"
    )


def _export(checkpoint: Checkpoint, path: Path) -> None:
    from streamvdib.model import fill_model, new_model, save_model

    prefix = "model."
    weights = {
        name[len(prefix) :]: tensor
        for name, tensor in checkpoint.state.tensors.items()
        if name.startswith(prefix)
    }
    description = checkpoint.state.about["configuration"]["description"]
    save_model(fill_model(new_model(description), weights), path)
    _tell(f"wrote {path}")


def _tell(text: str) -> None:
    print(text)  # noqa: T201 - the command's output
