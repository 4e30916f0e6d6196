"""Real survey images: readers, coordinates, injection; imports io, model, fields, render."""
