"""What every recording must hold, whatever its format: event cameras' files and sound alike."""

from __future__ import annotations

import numpy as np

from streamvdib.events import EventArray
from streamvdib.sources import EventSource
from tests.sources.written import join


def check_contract(source: EventSource) -> EventArray:
    """What every recording promises; gives its events."""
    assert not source.is_live
    assert isinstance(source, EventSource)
    packets = list(source)
    end_us = None
    for packet in packets:
        times = packet.events["t_us"]
        assert (np.diff(times) >= 0).all()
        assert (times < packet.end_us).all()
        assert all(image.t_us < packet.end_us for image in packet.images)
        if end_us is not None:
            assert packet.end_us > end_us
            assert (times >= end_us).all()
        end_us = packet.end_us
        assert (packet.events["x"] < source.sensor_size.width).all()
        assert (packet.events["y"] < source.sensor_size.height).all()
    events = join(source)  # a second time
    np.testing.assert_array_equal(np.concatenate([packet.events for packet in packets]), events)
    source.close()
    source.close()
    return events
