"""Recorded data sets: folders of recordings with labels, targets and splits."""
