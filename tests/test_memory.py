"""Bounded memory, as the operating system and Python's allocator see it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import gc, psutil
from streamvdib.engine import Engine
from streamvdib.events import EventPacket
from tests.models import small_model
from tests.test_engine import GEOMETRY, events_of

engine = Engine(small_model(), GEOMETRY, policy="count", decode_every=10)

def feed(first, n):
    for k in range(first, first + n):
        events = events_of(k % 7)
        events["t_us"] += k * 40_000
        engine.advance(EventPacket(events, (k + 1) * 40_000))
    gc.collect()
    return psutil.Process().memory_info().rss

before = feed(0, 20)
print(feed(20, 200) - before)
"""


def test_ten_times_the_stream_leaves_the_resident_memory_as_it_was() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    one_page_of_arenas = 1 << 20  # what the allocator may take once, late
    assert int(result.stdout) <= one_page_of_arenas
