"""``python -m service.worker``."""

from service.worker.process import main

main()
