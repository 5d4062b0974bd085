"""Learning: VDIB with e-prop, offline over batches of sequences and online while a stream runs.

Skatchkovsky et al., 2021 (eq. 8 to 14 and 19 to 22); inference imports nothing from here.
"""
