"""A run as a batch starts it: ``python -m calibrate.cli.child REQUEST TRIALS``, gone as soon as its parent is.

It carries out the request in the file ``REQUEST`` and writes the results beside it; finished passes are kept in the
folder ``TRIALS``.
"""

import os
import sys
import threading
from pathlib import Path

from calibrate.cli.console import note
from calibrate.errors import AfternormError
from calibrate.request import MANIFEST, RunRequest, told_in


def main(request: Path, trials: Path) -> None:
    """Carry out the request; an error the user can act on is one line and an exit code, never a traceback."""
    asked = RunRequest.model_validate_json(request.read_bytes())

    from calibrate.engine import carry_out_run, open_run

    try:
        with told_in(MANIFEST):
            result = carry_out_run(open_run(asked, request.parent, trials=trials), terms=MANIFEST)
            for path in result.delivery.files:
                note(f"wrote {path}")
            if result.error is not None:
                raise result.error
    except AfternormError as error:
        note(f"error: {error}")
        sys.exit(error.exit_code)


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open and never writes to."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(*map(Path, sys.argv[1:]))
