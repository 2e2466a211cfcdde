"""Streams of examples, and adaptation methods on them."""
