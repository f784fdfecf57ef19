"""The built-in model: its world, its recipe and its checkpoint."""
