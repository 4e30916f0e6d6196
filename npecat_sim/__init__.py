"""The simulator of npecat and the format of the stores that it writes.

In all files "the paper" is Patel, Zhang, Avestruz, Regier & LSST DESC 2025, Neural Posterior
Estimation for Cataloging Astronomical Images with Spatially Varying Backgrounds and Point Spread
Functions, AJ 170, 155 (arXiv:2503.00156).
"""
