"""One file per command of `uhd`, with a function of the same name."""
