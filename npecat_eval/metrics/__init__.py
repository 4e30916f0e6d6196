"""Metrics of predicted catalogs against true ones; imports catalog."""
