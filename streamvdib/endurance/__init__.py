"""Faults from a seed: what a small engine needs to be tried for years in minutes.

Disk, clock and source are passed in everywhere, so a fake one that fails on purpose takes the
place of each. The same seed gives the same faults at the same moments.
"""
