"""From options to an opened network and a checked plan: what the commands that carry out a recipe share."""

import json
from dataclasses import dataclass
from pathlib import Path

from calibrate.cli import options
from calibrate.cli.console import progress_bars, say, show
from calibrate.data import open_data, read_class_map, read_classes
from calibrate.engine import (
    Delivery,
    FolderTrials,
    Opened,
    Plan,
    carry_out,
    check_outputs,
    deliver,
    open_model,
    plan,
    set_up_process,
)
from calibrate.errors import ExportError, GateError
from calibrate.recipe import Outputs, Recipe
from calibrate.report import render_text
from calibrate.result import Listener


@dataclass(frozen=True, slots=True)
class Request:
    """The options that say which network, which data and how to pass them."""

    model: Path
    architecture: str | None
    architecture_args: str | None
    data: str
    classes: Path | None
    preprocessing: str | None
    batch_size: int
    device: str
    threads: int | None
    class_map: Path | None = None
    training_data: str | None = None

    def open(self, recipe: Recipe, progress: Listener) -> tuple[Opened, Plan]:
        """Open the network and the data, and check that ``recipe`` can be carried out on them."""
        set_up_process(self.threads)
        opened = open_model(
            self.model, self.architecture, options.mapping(self.architecture_args, "--architecture-args")
        )
        shape = options.preprocessing(self.preprocessing) or opened.preprocessing
        source = open_data(
            self.data,
            preprocessing=shape,
            classes=read_classes(self.classes) if self.classes else opened.class_names,
            class_map=read_class_map(self.class_map) if self.class_map else None,
        )
        checked = plan(
            opened.model,
            recipe,
            data=source,
            training=self.training_data,
            preprocessing=shape,
            classes=None,
            batch_size=self.batch_size,
            device=self.device,
            progress=progress,
        )
        return opened, checked


def describe(opened: Opened, checked: Plan) -> dict[str, object]:
    """What a dry run prints: the plan in words and numbers."""
    return {
        "architecture": opened.architecture,
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
    request: Request,
    recipe: Recipe,
    out: Path | None,
    outputs: Outputs,
    *,
    as_json: bool,
    dry_run: bool,
    trials: Path | None = None,
    require: options.Requirement | None = None,
) -> None:
    """Carry out ``recipe``, write its files into ``out``, if any, and print the report; of a dry run, the plan alone.

    The network is written only with the verdict that is required. Finished passes are kept in ``trials``.
    """
    if out is not None:
        check_outputs(out, outputs)
    with progress_bars() as progress:
        opened, checked = request.open(recipe, progress)
        if dry_run:
            say(json.dumps(describe(opened, checked), indent=2))
            return
        kept = None if trials is None else FolderTrials(trials, checked, opened.architecture, opened.architecture_args)
        outcome = carry_out(opened.model, checked, opened.architecture, opened.architecture_args, kept)
        verdict = outcome.summary.verdict
        passed = require is None or require.is_met_by(verdict)
        delivery = Delivery(outcome.summary, (), ())
        if out is not None:
            wanted = outputs if passed else outputs.model_copy(update={"formats": ()})
            delivery = deliver(outcome, opened.model, out, wanted, progress=progress)
    show(delivery.summary, lambda: render_text(delivery.summary), delivery.files, as_json=as_json)
    if not passed:
        raise GateError(
            f"the verdict is {verdict or 'none'}, and --require {require} was given, so no network was written; "
            f"{'the report' if out is None else out / 'report.html'} says why."
        )
    if delivery.problems:
        raise ExportError(" ".join(delivery.problems))
