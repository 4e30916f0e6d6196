"""From posteriors to catalogs of images and stores; imports npecat_train and npecat_sim."""
