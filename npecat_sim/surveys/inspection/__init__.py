"""What an image says of itself, before anything that is told of it is believed."""
