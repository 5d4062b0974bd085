"""One file per camera library; each offers ``open_driver(serial) -> Driver``.

To add a camera, write such a module and add its line to ``DRIVERS`` in ``cameras.py``.
"""
