"""The command that starts ``fake_child.py``, which needs nothing of ours to run."""

import sys
from pathlib import Path

FAKE_CHILD = (sys.executable, "-P", str(Path(__file__).with_name("fake_child.py")))
