"""The commands of the server and its client."""
