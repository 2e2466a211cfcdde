"""Datasets: examples in one file, with or without labels."""
