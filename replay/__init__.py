"""Recorded data sets, pacing, recording, simulation, and test-then-train evaluation."""
