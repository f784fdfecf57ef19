"""One file per command of `uhd`; each has a function of its file's name."""
