"""Uploads: bytes that arrive in parts, resumable, and become blobs."""
