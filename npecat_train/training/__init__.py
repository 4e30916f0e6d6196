"""The training loop and all that it needs; imports every other room."""
