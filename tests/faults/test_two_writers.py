"""One checkpoint folder, one log, one record file: the second writer is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from streamvdib.checkpoints import Checkpoints
from streamvdib.errors import CheckpointError


def test_a_second_writer_of_a_folder_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "run") as first:
        with pytest.raises(CheckpointError, match=r"one writer.*in use by process"):
            Checkpoints(tmp_path / "run")
        assert first.generations == []
    Checkpoints(tmp_path / "run").close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from streamvdib.checkpoints import Checkpoints\n"
        "from streamvdib.errors import CheckpointError\n"
        "try: Checkpoints(Path(sys.argv[1]))\n"
        "except CheckpointError: sys.exit(7)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    with Checkpoints(tmp_path / "run"):
        assert subprocess.run(command, check=False).returncode == 7
    assert subprocess.run(command, check=False).returncode == 0
