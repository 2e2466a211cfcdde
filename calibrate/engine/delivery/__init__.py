"""Writing what a run made: files of the tuned network, proved and timed, and its reports."""
