"""Experiments that decisions and figures rest on: ``python -m npecat.experiments.NAME``."""
