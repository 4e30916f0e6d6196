"""The experiments behind decisions and figures: ``python -m npecat.experiments.NAME``."""
