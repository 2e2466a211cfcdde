"""Datasets: labelled examples in one file."""
