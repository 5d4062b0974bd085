"""Machine code that is kept: used again, and passed over where another release left it."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from types import ModuleType

import pytest
from numba.core import caching

from streamvdib.backends import compilation

SOURCE = """
from streamvdib.backends.compilation import compiled

@compiled
def twice(number):
    return 2 * number
"""


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernels_of_a_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_kept_code_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(SOURCE)
    assert loaded(path).twice(21) == 42
    again = loaded(path)
    assert again.twice(21) == 42
    assert sum(again.twice.stats.cache_hits.values()) == 1


def test_an_index_of_another_release_is_not_even_unpickled(tmp_path: Path) -> None:
    """Its types may have moved; here the rest of the file is no pickle at all."""
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(SOURCE)
    assert loaded(path).twice(21) == 42
    (index,) = tmp_path.rglob("*.nbi")
    version, stamps = pickle.loads(index.read_bytes())
    older = (version, ((stamps[0][0], 0, 0), *stamps[1:]))
    index.write_bytes(pickle.dumps(older) + b"types that have moved")
    assert loaded(path).twice(21) == 42


def test_where_no_folder_can_be_written_code_is_compiled_and_the_remedy_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    compilation._warn_of_no_folder.cache_clear()
    path = tmp_path / "kernels_of_a_test.py"
    path.write_text(SOURCE)
    assert loaded(path).twice(21) == 42
    assert not list(tmp_path.rglob("*.nbi"))
    assert "NUMBA_CACHE_DIR" in caplog.text
