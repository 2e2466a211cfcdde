"""Normalisation layers, one published method a file, over shared formulas."""
