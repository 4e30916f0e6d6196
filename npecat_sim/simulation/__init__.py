"""Simulate whole stores on a Dask cluster; imports every other room."""
