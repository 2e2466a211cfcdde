"""Resumable uploads, which become blobs."""
