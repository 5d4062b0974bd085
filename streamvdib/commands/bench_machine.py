"""What a benchmark ran on, and with what."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

VERSIONS = ("streamvdib", "torch", "numba", "numpy", "snntorch", "norse", "spikingjelly", "sinabs")


def machine() -> dict[str, object]:
    """Date, processor, system, versions and, in a checkout, the commit."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "threads": 1,
        "commit": _commit(Path(__file__).parent),
        "versions": {name: _version(name) for name in VERSIONS},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit(folder: Path) -> str:
    """The commit of a checkout, with "+" where files differ from it; else "not a checkout"."""
    try:
        head, changes = (
            subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno"))
        )
    except (OSError, subprocess.CalledProcessError):
        return "not a checkout"
    return head + ("+" if changes else "")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
