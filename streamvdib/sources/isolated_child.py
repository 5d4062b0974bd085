"""The child process of ``isolated``: limits itself, opens a recording and sends what it reads.

Started as ``python -m streamvdib.sources.isolated_child REQUEST``; REQUEST is JSON.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def main() -> int:
    """Serve one iteration over one recording."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    _limit_memory(int(request["memory_bytes"]))
    with os.fdopen(int(request["fd"]), "wb") as out:
        try:
            _serve(request, out)
        except BrokenPipeError:
            return 0  # the parent wants no more
    return 0


def _limit_memory(n_bytes: int) -> None:
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = n_bytes if most == resource.RLIM_INFINITY else min(n_bytes, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(request: dict[str, Any], out: Any) -> None:
    from streamvdib.errors import RecordingError
    from streamvdib.events import SensorSize
    from streamvdib.sources.isolated_wire import error_frame, json_frame, packet_frame
    from streamvdib.sources.opening import open_source

    size = request["sensor_size"]
    try:
        source = open_source(
            request["path"],
            sensor_size=None if size is None else SensorSize(*size),
            lenient=request["lenient"],
            packet_us=request["packet_us"],
            **request["options"],
        )
        format_name = getattr(source, "format_name", "unknown")
        description = {"format": format_name, "sensor_size": list(source.sensor_size)}
        out.write(json_frame(b"D", description))
        out.flush()
        for packet in source:
            out.write(packet_frame(packet))
            out.flush()
        out.write(json_frame(b"Z", source.counters))
    except BrokenPipeError:
        raise
    except MemoryError:
        out.write(error_frame(RecordingError(request["memory_message"])))
    except BaseException as error:  # a panic of a Rust library is no Exception
        out.write(error_frame(error))
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
