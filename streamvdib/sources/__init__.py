"""Ways in: recordings by format family, cameras, networks, pipes and test signals.

``open_source`` takes a path or an address and gives an ``EventSource``. To add a recording
format, write a module with ``recognises`` and ``open_recording`` and add its line to
``FORMATS``; to add an address, write a function and add its line to ``SCHEMES``.
"""

from streamvdib.sources.opening import FORMATS, SCHEMES, open_source, recognise
from streamvdib.sources.recording import Recording
from streamvdib.sources.source import EventSource

__all__ = ["FORMATS", "SCHEMES", "EventSource", "Recording", "open_source", "recognise"]
