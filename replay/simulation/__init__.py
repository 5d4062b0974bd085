"""A simulated event camera: pixels, lenses, paths, and the data sets made with them."""
