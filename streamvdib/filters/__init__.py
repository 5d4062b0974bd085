"""Clean-up of events before they are decoded: optional, counted, streaming.

    hot,baf=2000,roi=10:20:100:80,polarity=on,refractory=500

``parse_filters`` reads such a line, ``FilteredSource`` applies it. To add a filter, write a
module with a class that has ``name``, ``keep`` and a function ``parse``, and add its line to
``FILTERS``.
"""

from streamvdib.filters.chain import FILTERS, EventFilter, FilteredSource, parse_filters

__all__ = ["FILTERS", "EventFilter", "FilteredSource", "parse_filters"]
