"""The simulator of npecat, and the contract of the stores that it writes.

"The paper" is everywhere Patel, Zhang, Avestruz, Regier & LSST DESC 2025, Neural Posterior
Estimation for Cataloging Astronomical Images with Spatially Varying Backgrounds and Point Spread
Functions, AJ 170, 155 (arXiv:2503.00156).
"""
