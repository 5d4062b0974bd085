"""Memory that is free goes back to the system, and what a session froze may be collected."""

import gc
import subprocess
import sys

from streamvdib.allocator import give_back, keep_memory_flat
from streamvdib.endurance.workload import packets, small_engine
from streamvdib.session import WARM_UP_PACKETS, Session

CREEP = """
from streamvdib.allocator import keep_memory_flat

def resident():
    return 4096 * int(open("/proc/self/statm").read().split()[1])

if {fixed}:
    assert keep_memory_flat({{}})
pins = []
for _ in range(3):  # a block that is freed teaches glibc to take the next one out of the heap
    blocks = [bytearray(4 << 20) for _ in range(16)]
    del blocks
before = resident()
blocks = []
for _ in range(16):
    blocks.append(bytearray(4 << 20))
    blocks[-1][::4096] = bytes(1024)
    pins.append(bytearray(1000))
del blocks
print(resident() - before)
"""


def growth(*, fixed: bool) -> int:
    """Bytes that stay after 64 MiB of big blocks with small ones between them are free."""
    code = CREEP.format(fixed=fixed)
    environment = {"PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return int(done.stdout)


def test_big_blocks_between_small_ones_leave_no_holes_where_thresholds_are_fixed() -> None:
    assert growth(fixed=True) < 4 << 20
    assert growth(fixed=False) > 32 << 20  # what it is for


def test_who_sets_the_allocator_up_is_left_alone() -> None:
    assert not keep_memory_flat({"MALLOC_ARENA_MAX": "1"})


def test_giving_back_can_be_asked_for_at_any_time() -> None:
    assert give_back()
    assert give_back()


def test_what_a_session_froze_may_be_collected_after_it() -> None:
    gc.unfreeze()
    with Session(small_engine(backend="torch")) as session:
        for packet in packets(0, WARM_UP_PACKETS):
            session.advance(packet)
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0
