"""The Zarr stores of simulated images, and their contract; imports io, model, fields."""
