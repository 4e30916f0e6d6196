"""Files of any kind, local or in an object store, and locks on them; imports errors alone."""
