"""The page's process: settings as one line of JSON on standard input, which then stays open."""

from __future__ import annotations

import json
import os
import sys
import threading

from streamvdib.errors import ServiceError

from ..keys import KeyPair
from .settings import ViewSettings


def main() -> int:
    """Serve until standard input closes."""
    settings = _settings(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if settings.kind == "term":
        from .terminal import show

        show(settings)
        return 0
    from .page import serve

    try:
        serve(settings, announce=lambda url: print(url, flush=True))  # noqa: T201 - to the parent
    except ServiceError as error:
        print(error, flush=True)  # noqa: T201 - to the parent
        return 1
    return 0


def _settings(values: dict[str, str | int | None]) -> ViewSettings:
    secret, public, server = values["secret"], values["public"], values["server_key"]
    return ViewSettings(
        kind=str(values["kind"]),
        data=str(values["data"]),
        control=str(values["control"]),
        port=int(values["port"] or 0),
        server_key=str(server).encode() if server else None,
        keys=KeyPair(str(public).encode(), str(secret).encode()) if secret and public else None,
    )


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
