"""The server as commands of `afternorm`."""
