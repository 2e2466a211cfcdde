"""The child process: one attempt at a job, in a sandbox. The only package of the service that imports torch."""
