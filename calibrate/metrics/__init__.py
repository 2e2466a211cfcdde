"""Scores of a classifier, with intervals."""
