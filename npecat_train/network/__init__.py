"""The network and its inputs, and how both turn with the image; imports npecat_sim alone."""
