"""The on-device path: image -> slices -> patches -> embeddings -> prompt -> text."""
