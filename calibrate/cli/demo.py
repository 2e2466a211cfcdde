"""``afternorm demo``: the main job on a small trained network and real handwritten digits."""

import json
import time
from pathlib import Path

from calibrate.cli import options
from calibrate.cli.console import note, progress_bars, say


def demo_command(out: options.Out = Path("demo"), as_json: options.AsJson = False) -> None:
    """Tune the network that ships with Afternorm, on digits as they are and as a poor scanner sees them.

    Writes the network and the data into OUT/inputs, to try other commands on, and the results into OUT/clean and
    OUT/scanned.
    """
    from calibrate.demo import run_demo
    from calibrate.report import render_brief

    start = time.perf_counter()
    with progress_bars() as progress:
        deliveries = run_demo(out, progress)
    if as_json:
        say(json.dumps({name: item.summary.model_dump(mode="json") for name, item in deliveries.items()}, indent=2))
    else:
        for name, item in deliveries.items():
            say(f"=== digits, {name}\n\n{render_brief(item.summary)}")
    for item in deliveries.values():
        for path in item.files:
            note(f"wrote {path}")
    note(f"took {time.perf_counter() - start:.0f} s; open {out}/scanned/report.html")
