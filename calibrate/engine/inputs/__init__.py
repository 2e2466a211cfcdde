"""Inputs: whether they are prepared as the network was trained with."""
