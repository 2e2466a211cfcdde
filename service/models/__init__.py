"""Models: a checkpoint and what is needed to open it."""
