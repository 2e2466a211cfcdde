"""The throttle between a child's progress and the events of its job."""

from service.worker.messages import ProgressMade

FASTEST_SECONDS = 0.25
#: After so many events the pause doubles, so that the longest job has some ten thousand.
AT_EACH_PACE = 1000


class Throttle:
    """Lets progress through at most four times a second, more rarely as it grows old; the latest is never lost."""

    def __init__(self) -> None:
        self._latest: ProgressMade | None = None
        self._next = float("-inf")
        self._passed = 0

    def offer(self, progress: ProgressMade) -> None:
        """Hold ``progress`` instead of what was held."""
        self._latest = progress

    def take(self, now: float, *, last: bool = False) -> ProgressMade | None:
        """What is held, if it is time, or if it is the last; then nothing is held."""
        if self._latest is None or (now < self._next and not last):
            return None
        taken, self._latest = self._latest, None
        self._next = now + FASTEST_SECONDS * 2 ** (self._passed // AT_EACH_PACE)
        self._passed += 1
        return taken
