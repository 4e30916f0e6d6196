"""The network, its posterior, its training from stores of images, and trained models."""
