"""A suspended computation: one that can stop in the middle of code that knows nothing of it, and go on later."""

import threading
from collections.abc import Callable


class AbandonedError(BaseException):
    """Unwinds a computation that nobody will resume; no ``except Exception`` on its way catches it."""


class Suspended:
    """``work`` in a thread of its own, which never runs while the caller does: each waits for the other.

    A thread, because it keeps the frames, and torch's modes, of whatever the network calls; only what those frames hold
    stays in memory.

    >>> said = []
    >>> work = Suspended(lambda: (said.append("one"), work.stop(), said.append("two")))
    >>> work.begin(), work.resume(), said
    (True, True, ['one'])
    >>> work.resume(), said
    (False, ['one', 'two'])
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work: Callable[[], object] | None = work
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._abandoned = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="suspended")

    def begin(self) -> bool:
        """Get a thread, and wait in it; False where the system has none left."""
        try:
            self._thread.start()
        except RuntimeError:
            return False
        return True

    def resume(self) -> bool:
        """Let the work go on to its next stop, and say whether there was one; False at its end, and ever after.

        Raises what the work raised.
        """
        if not self._thread.is_alive():
            return False
        self._may_go.release()
        self._has_stopped.acquire()
        if self._work is not None:
            return True
        self._thread.join()
        if self._error is not None:
            raise self._error
        return False

    def stop(self) -> None:
        """Stop here, called from within the work, until it is resumed."""
        self._has_stopped.release()
        self._may_go.acquire()
        if self._abandoned:
            raise AbandonedError

    def abandon(self) -> None:
        """End the work where it stopped."""
        if self._thread.is_alive():
            self._abandoned = True
            self._may_go.release()
            self._thread.join()

    def _run(self) -> None:
        self._may_go.acquire()
        try:
            if self._work is not None and not self._abandoned:
                self._work()
        except AbandonedError:
            pass
        except BaseException as error:  # handed to who resumed it
            self._error = error
        finally:
            self._work = None
            self._has_stopped.release()
