"""The same with asyncio: ADDRESS [HOW MANY]."""

import asyncio
import sys

from streamvdib.services import AsyncFrameClient


async def main(address: str = "tcp://127.0.0.1:5555", how_many: str = "10") -> None:
    """Print some frames, every one of them in order."""
    async with AsyncFrameClient(address, newest=False) as client:
        for _ in range(int(how_many)):
            frame = await client.receive()
            print(frame.stream, frame.step, frame.pixels.shape, frame.n_missed)


asyncio.run(main(*sys.argv[1:]))
