"""From a request to what is printed of its results: what the commands that carry out recipes share."""

import json
from collections.abc import Sequence
from pathlib import Path

from calibrate.cli.console import note, progress_bars, say, show
from calibrate.engine import OpenedRun, accept_data, carry_out_run, open_run
from calibrate.report import render_text
from calibrate.request import Requirement, RunRequest


def describe(run: OpenedRun) -> dict[str, object]:
    """What a dry run prints: the plan in words and numbers."""
    given, recipe = run.plan.given, run.plan.recipe
    return {
        "architecture": run.opened.architecture,
        "outputs": given.look.outputs,
        "sites": len(given.look.positions),
        "data": given.source.name,
        "n": len(given.source),
        "calibration": len(given.split.calibration),
        "holdout": len(given.split.holdout),
        "stratified": given.split.stratified,
        "data_findings": [finding.message for finding in given.source.findings],
        "training_data": given.training.name if given.training is not None else None,
        "preprocessing": given.source.preparation.model_dump() if given.source.preparation else None,
        "input_fit": given.input_fit.model_dump(mode="json") if given.input_fit else None,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_digest": recipe.digest,
        "device": str(given.setting.device),
        "batch_size": given.setting.batch_size,
    }


def deliver_run(
    request: RunRequest,
    out: Path | None,
    *,
    as_json: bool,
    dry_run: bool,
    trials: Path | None = None,
    require: Sequence[Requirement] = (),
    accept: bool = False,
) -> None:
    """Carry out ``request``, write its files into ``out``, if any, and print the report; of a dry run, the plan alone.

    The network is written only where all that is required holds. Finished passes are kept in ``trials``.
    With ``accept`` the data become the reference of later shifts.
    """
    with progress_bars() as progress:
        run = open_run(request, out, progress, trials=None if dry_run else trials)
        if dry_run:
            say(json.dumps(describe(run), indent=2))
            return
        result = carry_out_run(run, require=require)
        accepted = accept_data(run) if accept and result.error is None else None
    delivery = result.delivery
    show(delivery.summary, lambda: render_text(delivery.summary, details=False), delivery.files, as_json=as_json)
    if accepted is not None:
        note(f"wrote {accepted}")
    if result.error is not None:
        raise result.error
