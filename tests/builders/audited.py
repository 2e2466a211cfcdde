"""What Python's audit events tell of a piece of code: whether anything was imported, compiled, executed or opened."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

#: What code that only reads data has no business doing.
TELLING = (
    *("import", "exec", "compile", "pickle.", "marshal.", "code.", "ctypes.", "object.__setattr__", "os.system"),
    *("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.mkdir", "os.remove", "os.rename", "os.putenv", "pty."),
    *("subprocess.", "socket.", "urllib.", "shutil.", "tempfile.", "webbrowser.", "sqlite3.", "builtins.input"),
    *("builtins.breakpoint", "function.__new__", "sys.", "cpython.run", "signal.", "ftplib.", "http."),
)
_events: list[str] = []
_watching: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event.startswith(TELLING):
        _events.append(f"{event} {arguments[:1]!r:.80}")
    elif event == "open" and (writes(arguments) or not isinstance(arguments[0], str)):
        _events.append(f"{event} {arguments!r:.80}")


def writes(arguments: tuple[Any, ...]) -> bool:
    """Whether the arguments of an ``open`` event are those of opening for writing."""
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


@contextlib.contextmanager
def audited() -> Iterator[list[str]]:
    """The telling events while it is open; a hook cannot be taken away, so there is one, which then looks away."""
    if _hook not in _hooked:
        sys.addaudithook(_hook)
        _hooked.append(_hook)
    _events.clear()
    _watching.append(True)
    try:
        yield _events
    finally:
        _watching.clear()


_hooked: list[Any] = []
