"""The random variables of the forward model: streams, catalogs, PSFs; no files. Imports units."""
