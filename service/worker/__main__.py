"""``python -m service.worker``, with the environment's settings."""

from service.settings import Settings
from service.worker.process import main

main(Settings.from_environment())
