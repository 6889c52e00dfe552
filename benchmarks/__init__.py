"""Measurements of speed and quality; run from the root as ``python -m benchmarks``."""
