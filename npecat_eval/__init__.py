"""Use a trained model on images and stores, and find out how good it is."""
