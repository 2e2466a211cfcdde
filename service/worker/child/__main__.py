"""``python -P -m service.worker.child DESCRIPTOR``: carries out ``../assignment.json``.

It starts in a folder of links to the files that it may read, and writes to ``../out``. It ends when its standard input
does.
"""

import os
import sys
import threading
import traceback
from pathlib import Path

from service.worker.assignment import Assignment
from service.worker.child.sandbox import enter
from service.worker.child.voice import Voice
from service.worker.messages import Failed, Sandboxed
from service.worker.problems import problem_of

#: Jobs give way to the server and to checks, for which somebody waits.
NICENESS = 10


def main() -> None:
    """Give up rights, then import torch, then work; what goes wrong is told, and its traceback goes to the log."""
    voice = Voice(int(sys.argv[1]))
    assignment = Assignment.model_validate_json(Path("../assignment.json").read_bytes())
    os.environ["OMP_NUM_THREADS"] = str(assignment.threads)
    niceness = 0 if assignment.is_check else NICENESS
    missing = enter(assignment.memory_bytes, assignment.file_bytes, assignment.slot, niceness)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    voice.say(Sandboxed(missing=missing))
    try:
        from service.worker.child.work import carry_out

        voice.say(carry_out(assignment, voice))
    except Exception as error:
        traceback.print_exc()
        voice.say(Failed(problem=problem_of(error)))
    sys.stderr.flush()
    os._exit(0)  # all is said; torch would take another second to be taken down


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open and never writes to."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
