"""Ways out for events: one file per format, and ``open_writer`` that picks by the file's name.

To add a format, write a module with an ``Encoder`` class (see ``encoder.py``) and add its line
to ``ENCODERS``.
"""

from .opening import ENCODERS, EventWriter, can_write, open_writer

__all__ = ["ENCODERS", "EventWriter", "can_write", "open_writer"]
