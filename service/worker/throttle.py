"""A throttle between a child's progress messages and the events of its job."""

from service.worker.messages import ProgressMade

MIN_INTERVAL_SECONDS = 0.25
#: After so many events the interval doubles, so that even the longest job has only about ten thousand.
EVENTS_PER_INTERVAL = 1000


class Throttle:
    """Limits progress events to four per second, and to fewer in a long job; the latest progress is always kept."""

    def __init__(self) -> None:
        self._pending: ProgressMade | None = None
        self._next = float("-inf")
        self._events = 0

    def put(self, progress: ProgressMade) -> None:
        """Replace the pending progress."""
        self._pending = progress

    def pop(self, now: float, *, last: bool = False) -> ProgressMade | None:
        """Return and clear the pending progress, if the interval is over or this is the ``last`` call; else None."""
        if self._pending is None or (now < self._next and not last):
            return None
        progress, self._pending = self._pending, None
        self._next = now + MIN_INTERVAL_SECONDS * 2 ** (self._events // EVENTS_PER_INTERVAL)
        self._events += 1
        return progress
