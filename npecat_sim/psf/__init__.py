"""Point-spread functions of all kinds; it imports errors, units and io.

base.py says what a PSF is. Each kind has a file of its own.
"""
