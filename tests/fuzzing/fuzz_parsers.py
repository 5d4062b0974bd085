"""Coverage-guided fuzzing of the own binary parsers; needs the package atheris.

    python -m tests.fuzzing.fuzz_parsers -max_total_time=60 -max_len=4096

The first byte chooses the format, the rest is the file. Whatever the bytes, a parser gives events
that keep the contract or raises one error of ours. Compiled decoders are not instrumented; run
with NUMBA_BOUNDSCHECK=1 to have each of their array accesses checked.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.sources.written import BY_BYTES, some_events

FAMILIES = ("atis40", "aedat_legacy", "aedat31", "prophesee_raw", "prophesee_dat", "event_stream")
COMPILED = ("es_kernels", "evt_kernels", "kernels", "record_kernels", "text_kernel")


def instrumented_reader(atheris: Any) -> Callable[..., Any]:
    """``open_source`` with its modules instrumented, but for the compiled ones."""
    kept = {f"streamvdib.sources.{name}" for name in COMPILED}
    for name in kept:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name.startswith("streamvdib.sources")]:
        if name not in kept:
            del sys.modules[name]
    with atheris.instrument_imports(include=["streamvdib.sources"]):
        return importlib.import_module("streamvdib.sources.opening").open_source


def target(open_source: Callable[..., Any], path: Path) -> Callable[[bytes], None]:
    """What is called with each input."""
    from streamvdib.errors import StreamVdibError

    formats = [written for written in BY_BYTES.values() if written.family in FAMILIES]
    headers = [one.write(some_events(one.size, n_events=0), one.size) for one in formats]

    def one_input(data: bytes) -> None:
        if not data:
            return
        choice = data[0] % len(formats)
        path.write_bytes((headers[choice] if data[0] >= 128 else b"") + data[1:])
        for lenient in (False, True):
            try:
                source = open_source(path, format=formats[choice].family, lenient=lenient)
                end_us = None
                for packet in source:
                    assert end_us is None or packet.end_us > end_us
                    assert (packet.events["t_us"] < packet.end_us).all()
                    assert (packet.events["x"] < source.sensor_size.width).all()
                    end_us = packet.end_us
            except StreamVdibError:
                pass

    return one_input


if __name__ == "__main__":
    library = importlib.import_module("atheris")
    with tempfile.TemporaryDirectory() as folder:
        read = instrumented_reader(library)
        library.Setup(sys.argv, target(read, Path(folder) / "recording"))
        library.Fuzz()
