"""From stores to batches of tensors; imports npecat_sim alone."""
