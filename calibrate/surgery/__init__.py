"""Finding normalisation layers in a network and replacing them."""
