"""A node for dora-rs dataflows: frames and questions in, answers and health out."""
