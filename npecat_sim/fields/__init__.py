"""PSF, sky and detector of survey fields, as tables, files and statistics.

It imports io and model.
"""
