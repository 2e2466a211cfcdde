"""What is done for which kind of job."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from calibrate.engine import carry_out as carry_out_recipe
from calibrate.engine import check_outputs, deliver, proof_examples, set_up_process, write_onnx
from calibrate.errors import ExportError
from calibrate.export import require_runtime
from calibrate.recipe import Outputs
from service.jobs.kinds import AnyKind
from service.worker.assignment import Assignment
from service.worker.child.check import check_dataset, check_model
from service.worker.child.opening import open_assigned_data, open_assigned_model, open_run, shape_of
from service.worker.child.trials import FileTrials
from service.worker.child.voice import Voice
from service.worker.messages import Checked, Finished

OUT = Path("../out")
ONNX = OUT / "model.onnx"


def calibrate(assignment: Assignment, voice: Voice) -> Finished:
    """As ``afternorm calibrate``: tune, measure, write the network's files and the reports."""
    return _carry_out(assignment, assignment.outputs, voice)


def evaluate(assignment: Assignment, voice: Voice) -> Finished:
    """As ``afternorm evaluate``: measure, write the reports."""
    return _carry_out(assignment, Outputs(formats=()), voice)


def adapt(assignment: Assignment, voice: Voice) -> Finished:
    """As ``afternorm adapt``: compare methods on streams, or keep what one learns and write the network's files."""
    kept = assignment.recipe is not None and any(step.kind == "adapt" for step in assignment.recipe.steps)
    return _carry_out(assignment, assignment.outputs if kept else Outputs(formats=()), voice)


def probe(assignment: Assignment, voice: Voice) -> Finished:
    """As ``afternorm probe``: look, change nothing, write the reports."""
    return _carry_out(assignment, Outputs(formats=()), voice)


def export(assignment: Assignment, voice: Voice) -> Finished:
    """As ``afternorm export``: write the network as ONNX, proved on data where there are some, else on noise."""
    assert assignment.model is not None
    require_runtime()
    opened = open_assigned_model(assignment.model, assignment.factories)
    dataset = assignment.dataset
    source = open_assigned_data(dataset, assignment.model, opened) if dataset is not None else None
    examples = proof_examples(opened, source, shape_of(assignment.model, opened))
    inputs: Literal["data", "noise"] = "data" if source is not None else "noise"
    write_onnx(opened, examples, ONNX, inputs=inputs, threads=assignment.settings.threads)
    voice.artifact(ONNX)
    return Finished()


def check(assignment: Assignment, voice: Voice) -> Checked:  # noqa: ARG001  (a check says nothing until it knows)
    """Open a new model or new data."""
    if assignment.model is not None:
        return check_model(assignment.model, assignment.factories)
    assert assignment.dataset is not None
    return check_dataset(assignment.dataset)


WORK: Mapping[AnyKind, Callable[[Assignment, Voice], Finished | Checked]] = {
    "calibrate": calibrate,
    "evaluate": evaluate,
    "probe": probe,
    "adapt": adapt,
    "export": export,
    "check": check,
}


def carry_out(assignment: Assignment, voice: Voice) -> Finished | Checked:
    """Do what the kind of job asks; the last message is returned, not said."""
    set_up_process(assignment.settings.threads)
    return WORK[assignment.kind](assignment, voice)


def _carry_out(assignment: Assignment, outputs: Outputs, voice: Voice) -> Finished:
    check_outputs(OUT, outputs)
    opened, checked = open_run(assignment, voice)
    trials = FileTrials(OUT, voice)
    outcome = carry_out_recipe(opened.model, checked, opened.architecture, opened.architecture_args, trials)
    delivery = deliver(outcome, opened.model, OUT, outputs, progress=voice.progress)
    for file in delivery.files:
        voice.artifact(file)
    if delivery.problems:
        raise ExportError(" ".join(delivery.problems))
    return Finished(verdict=delivery.summary.verdict)
