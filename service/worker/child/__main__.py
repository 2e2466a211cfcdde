"""``python -P -m service.worker.child DESCRIPTOR``: runs ``../assignment.json``.

Its working directory has links to the files that it may read; it writes to ``../out``. It ends when its standard input
closes.
"""

import os
import sys
import threading
import traceback
from pathlib import Path

from calibrate.before_torch import collect_rarely, spin_briefly
from service.worker.assignment import Assignment
from service.worker.child.message_writer import MessageWriter
from service.worker.child.sandbox import enter
from service.worker.messages import Failed, Sandboxed
from service.worker.problems import problem_of

#: Jobs have a lower priority than the server and checks, which clients wait for.
NICENESS = 10


def main() -> None:
    """Enter the sandbox, import torch, run the assignment; report an error, and log its traceback."""
    writer = MessageWriter(int(sys.argv[1]))
    assignment = Assignment.model_validate_json(Path("../assignment.json").read_bytes())
    os.environ["OMP_NUM_THREADS"] = str(assignment.threads)
    spin_briefly()
    collect_rarely()
    niceness = 0 if assignment.is_check else NICENESS
    missing = enter(assignment.memory_bytes, assignment.file_bytes, assignment.slot, niceness)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    writer.send(Sandboxed(missing=missing))
    try:
        from service.worker.child.work import carry_out

        writer.send(carry_out(assignment, writer))
    except Exception as error:
        traceback.print_exc()
        writer.send(Failed(problem=problem_of(error)))
    sys.stderr.flush()
    os._exit(0)  # all is sent; an ordinary exit would spend another second in torch


def _end_with_parent() -> None:
    """Exit when standard input closes, which the parent holds open and never writes to."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
