"""Finished passes, stored so that a retry need not make them again."""
