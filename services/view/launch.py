"""Starts the page's process beside a service, and ends it with the service.

The process gets its keys on standard input, and ends when that closes: however the service
ends, no page outlives it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass

from streamvdib.errors import ServiceError

from ..keys import KeyPair


@dataclass
class ViewProcess:
    """A running page or terminal view."""

    process: subprocess.Popen[str]
    url: str

    def close(self) -> None:
        """End it; safe to call twice."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def launch(
    kind: str,
    *,
    data: str,
    control: str,
    port: int = 0,
    server_key: bytes | None = None,
    keys: KeyPair | None = None,
) -> ViewProcess:
    """Start a ``page`` or ``term`` view of the service at these addresses.

    Raises:
        ServiceError: it did not start, such as because its port is taken.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "streamvdib.services.view"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if kind == "page" else None,
        text=True,
        start_new_session=kind == "page",  # Ctrl-C is for the service, which then ends the page
    )
    settings = {
        "kind": kind,
        "data": data,
        "control": control,
        "port": port,
        "server_key": server_key.decode() if server_key else None,
        "public": keys.public.decode() if keys else None,
        "secret": keys.secret.decode() if keys else None,
    }
    view = ViewProcess(process, "")
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        if process.stdout is not None:
            view.url = process.stdout.readline().strip()
    except OSError:
        view.url = ""
    if kind == "page" and not view.url.startswith("http"):
        view.close()
        raise ServiceError(
            f"the page must have a free port; it did not start on {port}: {view.url}. "
            "Choose another with --view-port"
        )
    return view
