"""The local executor: each attempt is a process group on this machine."""

import json
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from service.kit.file_source import FileName
from service.worker.executor import Attempt, Ended, Heard, Work
from service.worker.messages import Message, read_message
from service.worker.process_group import ProcessGroup

#: -P: what the child finds in its working directory is never imported.
COMMAND = (sys.executable, "-P", "-m", "service.worker.child")
#: What a child inherits: where programs and modules are, and nothing that could be a secret.
INHERITED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_NAME: TypeAdapter[str] = TypeAdapter(FileName)


@dataclass(eq=False)
class _Running:
    work: Work
    group: ProcessGroup
    gpu: int | None
    deadline: float
    kill_at: float | None = None
    cancelled: bool = False
    timed_out: bool = False
    complaint: str = ""


class LocalExecutor:
    """Runs attempts below ``folder``, ``gpus`` of them on a GPU each."""

    def __init__(self, folder: Path, grace_seconds: float, gpus: int = 0, command: tuple[str, ...] = COMMAND) -> None:
        self._folder = folder
        self._grace_seconds = grace_seconds
        self._gpus = gpus
        self._command = command
        self._running: dict[Attempt, _Running] = {}

    def submit(self, work: Work) -> None:
        """Start the child, in a folder with links to its files, beside an empty ``out``."""
        place = self._place(work.attempt)
        shutil.rmtree(place, ignore_errors=True)
        for part in ("in", "out", "tmp"):
            (place / part).mkdir(parents=True, mode=0o700)
        (place / "assignment.json").write_text(json.dumps(work.document))
        for name, target in work.files.items():
            (place / "in" / _NAME.validate_python(name)).symlink_to(target)
        gpu = self._free_gpu() if work.slot == "gpu" else None
        group = ProcessGroup(self._command, place / "in", _environment(place / "tmp", gpu))
        self._running[work.attempt] = _Running(work, group, gpu, time.monotonic() + work.timeout_seconds)

    def cancel(self, attempt: Attempt) -> None:
        """SIGTERM to the group; SIGKILL follows after the grace period."""
        if running := self._running.get(attempt):
            running.cancelled = True
            self._stop(running)

    def poll(self) -> Heard:
        """Read what children said, follow up on those that were told to stop, notice those that ended."""
        messages: list[tuple[Attempt, Message]] = []
        ended = []
        now = time.monotonic()
        for attempt, running in list(self._running.items()):
            over = running.group.has_ended()
            running.group.listen()
            messages += [(attempt, message) for message in self._read(running)]
            if over:
                ended.append(self._end(attempt))
            elif now > running.deadline and running.kill_at is None:
                running.timed_out = True
                self._stop(running)
            elif running.kill_at is not None and now > running.kill_at:
                running.group.signal(signal.SIGKILL)
        return Heard(messages, ended)

    def file(self, attempt: Attempt, name: str) -> Path:
        """A regular file, no link, in a folder that is no link."""
        out = self._place(attempt) / "out"
        path = out / _NAME.validate_python(name)
        if not stat.S_ISDIR(out.lstat().st_mode) or not stat.S_ISREG(path.lstat().st_mode):
            raise FileNotFoundError(f"{name} of {attempt} is not a regular file")
        return path

    def forget(self, attempt: Attempt) -> None:
        """Remove the attempt's folder."""
        shutil.rmtree(self._place(attempt), ignore_errors=True)

    def close(self) -> None:
        """Cancel all, then wait; no longer than the grace period."""
        for attempt in list(self._running):
            self.cancel(attempt)
        while self._running:
            self.poll()
            time.sleep(0.01)

    def children(self) -> frozenset[int]:
        """The process numbers of the children that have not been waited for."""
        return frozenset(running.group.pid for running in self._running.values())

    def _place(self, attempt: Attempt) -> Path:
        return self._folder / f"{attempt.job}-{attempt.number}"

    def _free_gpu(self) -> int:
        used = {running.gpu for running in self._running.values()}
        return next(number for number in range(self._gpus) if number not in used)

    def _stop(self, running: _Running) -> None:
        if running.kill_at is None:
            running.kill_at = time.monotonic() + self._grace_seconds
            running.group.signal(signal.SIGTERM)

    def _read(self, running: _Running) -> list[Message]:
        """The messages that arrived; a child that says anything else is stopped, and not listened to any more."""
        if running.complaint:
            return []
        messages: list[Message] = []
        try:
            messages.extend(map(read_message, running.group.lines.read()))
        except ValueError as error:
            running.complaint = f"It said what is no message: {error}"
            running.group.signal(signal.SIGKILL)
        return messages

    def _end(self, attempt: Attempt) -> Ended:
        running = self._running.pop(attempt)
        code = running.group.reap()
        words = running.group.last_words + running.complaint
        return Ended(attempt, code, running.cancelled, running.timed_out, words)


def _environment(home: Path, gpu: int | None) -> Mapping[str, str]:
    """Made from nothing, so that no secret of the server's is in it."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LOGNAME": "afternorm",
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "" if gpu is None else str(gpu),
    }
