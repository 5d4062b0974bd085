"""Recorded data sets: folders of recordings with labels, targets and splits.

``open_dataset(path)`` recognises the layout of a folder. To add a layout, write a module in
``layouts/`` with ``recognises`` and ``open_layout`` and add its line to ``LAYOUTS``.
"""

from .dataset import SPLITS, DataSet, Recording
from .idx import find_idx, read_images, read_labels
from .opening import LAYOUTS, open_dataset

__all__ = [
    "LAYOUTS",
    "SPLITS",
    "DataSet",
    "Recording",
    "find_idx",
    "open_dataset",
    "read_images",
    "read_labels",
]
