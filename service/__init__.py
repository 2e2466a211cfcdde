"""The server: a REST API, a job queue and a worker. Only the worker's child process imports torch."""
