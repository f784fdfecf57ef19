"""uhd-tiny: the built-in model, its world and its recipe."""
