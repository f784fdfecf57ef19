"""From a checkpoint to a bundle: graphs and GGUF. The only runtime part that needs torch."""
