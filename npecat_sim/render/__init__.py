"""From sources and a PSF to pixels, with noise; imports model."""
