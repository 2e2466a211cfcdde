"""From a request to what is printed of its results: what the commands that carry out recipes share."""

import json
from pathlib import Path

from calibrate.cli.console import progress_bars, say, show
from calibrate.engine import OpenedRun, carry_out_run, open_run
from calibrate.report import render_text
from calibrate.request import Requirement, RunRequest


def describe(run: OpenedRun) -> dict[str, object]:
    """What a dry run prints: the plan in words and numbers."""
    checked = run.plan
    return {
        "architecture": run.opened.architecture,
        "outputs": checked.look.outputs,
        "sites": len(checked.look.positions),
        "data": checked.source.name,
        "n": len(checked.source),
        "calibration": len(checked.split.calibration),
        "holdout": len(checked.split.holdout),
        "stratified": checked.split.stratified,
        "training_data": checked.training.name if checked.training is not None else None,
        "preprocessing": checked.source.preprocessing.model_dump() if checked.source.preprocessing else None,
        "recipe": checked.recipe.model_dump(mode="json"),
        "recipe_digest": checked.recipe.digest,
        "device": str(checked.setting.device),
        "batch_size": checked.setting.batch_size,
    }


def deliver_run(
    request: RunRequest,
    out: Path | None,
    *,
    as_json: bool,
    dry_run: bool,
    trials: Path | None = None,
    require: Requirement | None = None,
) -> None:
    """Carry out ``request``, write its files into ``out``, if any, and print the report; of a dry run, the plan alone.

    The network is written only with the verdict that is required. Finished passes are kept in ``trials``.
    """
    with progress_bars() as progress:
        run = open_run(request, out, progress)
        if dry_run:
            say(json.dumps(describe(run), indent=2))
            return
        result = carry_out_run(run, trials=trials, require=require)
    delivery = result.delivery
    show(delivery.summary, lambda: render_text(delivery.summary), delivery.files, as_json=as_json)
    if result.error is not None:
        raise result.error
