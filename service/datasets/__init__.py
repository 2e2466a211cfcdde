"""Datasets: examples in one file, labelled or not."""
