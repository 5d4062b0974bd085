"""Who may import whom, and what ships."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "streamvdib").rglob("*.py"))
FORBIDDEN = ("streamvdib.services", "streamvdib.replay", "services", "replay", "zmq")


def imported(path: Path, *, at_import_time: bool = False) -> set[str]:
    """Names of all modules that a file imports, or only those it imports when it is imported."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if at_import_time and node not in tree.body:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_imports_neither_services_nor_replay_nor_zmq(path: Path) -> None:
    bad = {n for n in imported(path) for f in FORBIDDEN if n == f or n.startswith(f + ".")}
    assert not bad


@pytest.mark.parametrize("name", ["engine", "binning", "encoder", "spike_window"])
def test_the_spine_names_no_neuron_model_learner_or_source(name: str) -> None:
    """So a new one is a new file and a line in its own folder's registry."""
    names = imported(ROOT / "streamvdib" / f"{name}.py")
    allowed = "streamvdib.neurons.neuron"  # the protocol
    kinds = ("streamvdib.neurons", "streamvdib.learning", "streamvdib.sources")
    assert not {n for n in names if n.startswith(kinds) and not n.startswith(allowed)}


def test_inference_imports_no_learning() -> None:
    script = (
        "import sys, streamvdib.engine, streamvdib.sources, streamvdib.sinks, streamvdib.backends;"
        "print([m for m in sys.modules if m.startswith('streamvdib.learning')])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from streamvdib.cli import _parsers; _parsers(None);"
        "print([m for m in ('torch', 'numpy', 'numba', 'rich', 'PIL', 'zmq') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_every_package_folder_is_shipped_under_one_import_name() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    shipped = set(settings["packages"])
    folders = {
        path.parent.relative_to(ROOT)
        for top in ("streamvdib", "services", "replay")
        for path in (ROOT / top).rglob("__init__.py")
    }
    names = {
        ".".join(parts if parts[0] == "streamvdib" else ("streamvdib", *parts))
        for parts in (folder.parts for folder in folders)
    }
    assert shipped == names
    for top in ("streamvdib", "services", "replay"):
        with_code = {path.parent for path in (ROOT / top).rglob("*.py")}
        assert all((folder / "__init__.py").exists() for folder in with_code)
