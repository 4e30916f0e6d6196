"""The command line and the end-to-end runs; installed as the import package ``npecat``."""
