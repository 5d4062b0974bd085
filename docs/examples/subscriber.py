"""Frames of a running service with pyzmq and msgpack alone: ADDRESS [HOW MANY]."""

import sys

import msgpack
import zmq

socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")
socket.subscribe("frame/")
expected: dict[bytes, int] = {}
for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 10):
    topic, packed, pixels = socket.recv_multipart()
    header = msgpack.unpackb(packed)
    if header["schema"][0] != 1:
        sys.exit(f"this program reads schema 1, not {header['schema']}")
    name = header["stream"] + header["run"]
    missed = header["sequence"] - expected.get(name, header["sequence"])
    expected[name] = header["sequence"] + 1
    height, width = header["shape"]
    values = memoryview(pixels).cast("f" if header["dtype"] == "<f4" else "B")
    brightest = max(range(len(values)), key=lambda index: values[index])
    print(
        f"{header['stream']} step {header['step']}: {width}x{height}, brightest pixel at "
        f"({brightest % width}, {brightest // width}), missed {missed}"
    )
