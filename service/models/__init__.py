"""Models: a checkpoint, its architecture and preprocessing."""
