"""The training loop and all that it takes; imports every other room."""
