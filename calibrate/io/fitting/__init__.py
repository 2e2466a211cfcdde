"""Which tensors of a file a network takes: names laid over names, and weights in parts made whole."""
