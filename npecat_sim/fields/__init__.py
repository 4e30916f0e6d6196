"""PSF, sky and detector of survey fields, as tables, files and statistics; imports io, model."""
