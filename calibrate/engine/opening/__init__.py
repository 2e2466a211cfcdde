"""Opening what a request names: the network, the data, the training data, the device."""
