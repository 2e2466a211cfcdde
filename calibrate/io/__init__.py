"""Reading checkpoints, building architectures, naming both."""
