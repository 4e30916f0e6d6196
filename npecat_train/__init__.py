"""A plain trainer that reads only stores: network, posterior, training, and trained models."""
