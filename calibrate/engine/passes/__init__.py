"""Passes: examples through a network, batch by batch."""
