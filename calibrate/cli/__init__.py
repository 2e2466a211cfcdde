"""The command line."""

from calibrate.cli.app import main

__all__ = ["main"]
