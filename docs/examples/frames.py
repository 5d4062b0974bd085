"""A dozen lines from import to NumPy frames: ADDRESS [HOW MANY]."""

import sys

from streamvdib.services import FrameClient

address = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"
how_many = int(sys.argv[2]) if len(sys.argv) > 2 else 10
with FrameClient(address) as client:
    for _, frame in zip(range(how_many), client, strict=False):
        late_ms = frame.latency_us / 1000
        print(frame.stream, frame.step, frame.pixels.mean(), f"{late_ms:.1f} ms")
    print(f"missed {client.tracker.n_missed}, service is {client.tracker.state}")
