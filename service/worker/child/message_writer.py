"""The child's voice: messages to its worker, one JSON document a line, on a descriptor of their own."""

import os
import threading
from pathlib import Path

from calibrate.result import Progress
from service.worker.messages import ArtifactWritten, Message, ProgressMade, TrialDone

#: What clients are told of a file, by its ending.
MEDIA_TYPES = {
    ".json": "application/json",
    ".html": "text/html",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".safetensors": "application/octet-stream",
    ".onnx": "application/octet-stream",
}


class Voice:
    """Says messages; a message is whole or the child is dead."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._one_at_a_time = threading.Lock()

    def say(self, message: Message) -> None:
        """Say ``message``; waits while the worker is behind."""
        line = memoryview(message.model_dump_json().encode() + b"\n")
        with self._one_at_a_time:
            while line:
                line = line[os.write(self._descriptor, line) :]

    def progress(self, progress: Progress) -> None:
        """Tell of progress: a listener for runs."""
        self.say(ProgressMade(stage=progress.stage[:200], done=progress.done, total=progress.total))

    def trial(self, key: str, stage: str, examples: int, file: Path) -> None:
        """Tell of a finished pass."""
        self.say(TrialDone(key=key, stage=stage[:200], examples=examples, file=file.name))

    def artifact(self, file: Path) -> None:
        """Tell of a file for the client."""
        self.say(ArtifactWritten(file=file.name, media_type=MEDIA_TYPES[file.suffix]))
