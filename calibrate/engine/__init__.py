"""Carrying out a recipe."""
