"""The server: upload a checkpoint and data, run jobs on them, watch, fetch. Only the worker's child reaches torch."""
