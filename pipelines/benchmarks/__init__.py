"""Benchmarks of speed, memory and crash safety: ``python -m npecat.benchmarks.NAME``."""
