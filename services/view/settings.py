"""Which service is watched, and where the page is."""

from __future__ import annotations

from dataclasses import dataclass

from ..keys import KeyPair


@dataclass(frozen=True)
class ViewSettings:
    """What a view needs to know."""

    data: str  # address of frames
    control: str  # address of control
    kind: str = "page"
    port: int = 8765  # of the page, on loopback; 0 chooses a free one
    server_key: bytes | None = None  # the service's, with CURVE
    keys: KeyPair | None = None  # this view's
