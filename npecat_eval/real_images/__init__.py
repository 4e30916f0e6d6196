"""Catalogs of real images: beside SDSS's own, and of injected sources; imports report."""
