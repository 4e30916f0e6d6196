"""Files of any kind, local or in an object store, and locks on them.

Of npecat_sim it imports only errors.
"""
