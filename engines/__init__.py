"""An engine: named numpy arrays in, named numpy arrays out."""
