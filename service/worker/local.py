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

from calibrate.before_torch import OF_THE_USER
from service.kit.file_source import FileName
from service.worker.executor import Attempt, AttemptExit, Updates, Work
from service.worker.messages import Message, read_message
from service.worker.process_group import ProcessGroup

#: -P: the child imports nothing from its working directory.
COMMAND = (sys.executable, "-P", "-m", "service.worker.child")
#: The only environment variables that a child inherits; none can be a secret.
INHERITED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", *OF_THE_USER)
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
    protocol_error: str = ""


class LocalExecutor:
    """Runs attempts below ``folder``, ``gpus`` of them on a GPU each."""

    def __init__(self, folder: Path, grace_seconds: float, gpus: int = 0, command: tuple[str, ...] = COMMAND) -> None:
        self._folder = folder
        self._grace_seconds = grace_seconds
        self._gpus = gpus
        self._command = command
        self._running: dict[Attempt, _Running] = {}

    def submit(self, work: Work) -> None:
        """Start the child in a folder with links to its files, next to an empty ``out``."""
        folder = self._folder_of(work.attempt)
        shutil.rmtree(folder, ignore_errors=True)
        for part in ("in", "out", "tmp"):
            (folder / part).mkdir(parents=True, mode=0o700)
        (folder / "assignment.json").write_text(json.dumps(work.document))
        for name, target in work.files.items():
            (folder / "in" / _NAME.validate_python(name)).symlink_to(target)
        gpu = self._free_gpu() if work.slot == "gpu" else None
        group = ProcessGroup(self._command, folder / "in", _environment(folder / "tmp", gpu))
        self._running[work.attempt] = _Running(work, group, gpu, time.monotonic() + work.timeout_seconds)

    def cancel(self, attempt: Attempt) -> None:
        """Send SIGTERM to the group, and SIGKILL after the grace period."""
        if running := self._running.get(attempt):
            running.cancelled = True
            self._stop(running)

    def poll(self) -> Updates:
        """Read the children's messages, enforce timeouts and grace periods, and report exits."""
        messages: list[tuple[Attempt, Message]] = []
        ended = []
        now = time.monotonic()
        for attempt, running in list(self._running.items()):
            ended_now = running.group.has_ended()
            running.group.read_stderr()
            messages += [(attempt, message) for message in self._read(running)]
            if ended_now:
                ended.append(self._end(attempt))
            elif now > running.deadline and running.kill_at is None:
                running.timed_out = True
                self._stop(running)
            elif running.kill_at is not None and now > running.kill_at:
                running.group.signal(signal.SIGKILL)
        return Updates(messages, ended)

    def file(self, attempt: Attempt, name: str) -> Path:
        """The path of a regular file; links, also of its folder, are refused."""
        out = self._folder_of(attempt) / "out"
        path = out / _NAME.validate_python(name)
        if not stat.S_ISDIR(out.lstat().st_mode) or not stat.S_ISREG(path.lstat().st_mode):
            raise FileNotFoundError(f"{name} of {attempt} is not a regular file")
        return path

    def clean_up(self, attempt: Attempt) -> None:
        """Delete the attempt's folder."""
        shutil.rmtree(self._folder_of(attempt), ignore_errors=True)

    def close(self) -> None:
        """Cancel all attempts, and wait for their end, at most the grace period."""
        for attempt in list(self._running):
            self.cancel(attempt)
        while self._running:
            self.poll()
            time.sleep(0.01)

    def children(self) -> frozenset[int]:
        """The process IDs of the children that have not been reaped."""
        return frozenset(running.group.pid for running in self._running.values())

    def _folder_of(self, attempt: Attempt) -> Path:
        return self._folder / f"{attempt.job}-{attempt.number}"

    def _free_gpu(self) -> int:
        used = {running.gpu for running in self._running.values()}
        return next(number for number in range(self._gpus) if number not in used)

    def _stop(self, running: _Running) -> None:
        if running.kill_at is None:
            running.kill_at = time.monotonic() + self._grace_seconds
            running.group.signal(signal.SIGTERM)

    def _read(self, running: _Running) -> list[Message]:
        """The messages that arrived; a child that sends anything else is killed, and no more is read from it."""
        if running.protocol_error:
            return []
        messages: list[Message] = []
        try:
            messages.extend(map(read_message, running.group.lines.read()))
        except ValueError as error:
            running.protocol_error = f"invalid message: {error}"
            running.group.signal(signal.SIGKILL)
        return messages

    def _end(self, attempt: Attempt) -> AttemptExit:
        running = self._running.pop(attempt)
        code = running.group.reap()
        stderr_tail = running.group.stderr_tail + running.protocol_error
        return AttemptExit(attempt, code, running.cancelled, running.timed_out, stderr_tail)


def _environment(home: Path, gpu: int | None) -> Mapping[str, str]:
    """The child's environment, built from scratch, so that it has no secrets of the server."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "HOME": str(home),
        "TMPDIR": str(home),
        "LOGNAME": "afternorm",
        "LANG": "C.UTF-8",
        "CUDA_VISIBLE_DEVICES": "" if gpu is None else str(gpu),
    }
