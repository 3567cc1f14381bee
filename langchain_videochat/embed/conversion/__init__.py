"""Steps of checkpoint conversion: reading files, mapping weight names, inferring dimensions, writing a folder."""
