"""Carrying out a fine-tuning, and comparing several."""
