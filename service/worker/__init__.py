"""The worker: claims jobs and runs each attempt in a child process."""
