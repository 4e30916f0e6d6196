"""Images with their sources drawn on them; imports catalog, metrics."""
