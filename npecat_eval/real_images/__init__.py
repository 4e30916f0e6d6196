"""Tests on real images: a comparison with SDSS's catalog, and injected sources; imports report."""
