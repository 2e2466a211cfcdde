"""The worker: claims jobs and carries each out in a child process of its own."""
