"""Send messages to the worker: JSON Lines on a pipe."""

import os
import threading
from pathlib import Path

from calibrate.result import Progress
from service.worker.messages import ArtifactWritten, Message, ProgressMade, TrialDone

#: The media type of a file, by its suffix.
MEDIA_TYPES = {
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".safetensors": "application/octet-stream",
    ".onnx": "application/octet-stream",
}


class MessageWriter:
    """Writes messages to a descriptor; only the death of the child can leave one incomplete."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send ``message``; blocks while the pipe is full."""
        line = memoryview(message.model_dump_json().encode() + b"\n")
        with self._lock:
            while line:
                line = line[os.write(self._descriptor, line) :]

    def send_progress(self, progress: Progress) -> None:
        """Send progress: a listener for runs."""
        self.send(ProgressMade(stage=progress.stage[:200], done=progress.done, total=progress.total))

    def send_trial(self, key: str, stage: str, examples: int, file: Path) -> None:
        """Send a finished pass."""
        self.send(TrialDone(key=key, stage=stage[:200], examples=examples, file=file.name))

    def send_artifact(self, file: Path) -> None:
        """Send a file for the client."""
        self.send(ArtifactWritten(file=file.name, media_type=MEDIA_TYPES[file.suffix]))
