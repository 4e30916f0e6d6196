"""The probability densities that a network predicts for a tile; imports network."""
