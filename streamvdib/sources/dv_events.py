"""Events as dv-processing hands them over, in this package's form."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from streamvdib.events import EventArray, as_events


def from_dv_events(records: npt.NDArray[Any]) -> EventArray:
    """Records of ``EventStore.numpy()`` as events; negative coordinates end up off any sensor."""
    return as_events(
        records["timestamp"],
        records["x"].astype(np.uint16),
        records["y"].astype(np.uint16),
        records["polarity"] != 0,
    )
