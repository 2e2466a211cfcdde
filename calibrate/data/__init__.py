"""Labelled examples: sources, splits, preprocessing."""
