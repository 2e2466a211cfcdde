"""The job queue: submission, claims, attempts, events and garbage collection."""
