"""The methods that networks are compared with: SEP and the exact posterior; imports metrics."""
