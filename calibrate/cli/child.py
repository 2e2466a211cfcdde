"""The command line as a batch starts it: ``python -m calibrate.cli.child``, gone as soon as its parent is."""

import os
import sys
import threading

from calibrate.cli.app import main


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent holds open and never writes to."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    sys.argv[0] = "afternorm"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()
