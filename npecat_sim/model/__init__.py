"""The random variables of the forward model: streams, catalogs and PSFs.

Of npecat_sim it imports only errors and units; it touches no files.
"""
