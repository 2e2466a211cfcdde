"""Run each kind of request."""

from pathlib import Path

from calibrate.engine import carry_out_export, carry_out_run, open_export, open_run, set_up_process
from calibrate.errors import UsageError
from calibrate.request import JOB, ExportRequest, RunRequest, told_in
from service.worker.assignment import Assignment, DatasetCheck, ModelCheck
from service.worker.child.check import check_dataset, check_model
from service.worker.child.message_writer import MessageWriter
from service.worker.child.trials import FileTrials
from service.worker.messages import Checked, Finished

OUT = Path("../out")
ONNX = OUT / "model.onnx"
#: The verdict of a job that only tells whether data have shifted.
SHIFT_VERDICTS = {True: "shifted", False: "no shift", None: None}


def carry_out(assignment: Assignment, writer: MessageWriter) -> Finished | Checked:
    """Run the assignment; returns the final message, without sending it. Errors name the job's fields."""
    set_up_process(assignment.threads)
    with told_in(JOB):
        match assignment.request:
            case RunRequest() as request:
                _check_factory(request.architecture, assignment.factories)
                return _run(request, writer)
            case ExportRequest() as request:
                _check_factory(request.architecture, assignment.factories)
                return _export(request, writer)
            case ModelCheck() as check:
                _check_factory(check.architecture, assignment.factories)
                return check_model(check)
            case DatasetCheck() as check:
                return check_dataset(check)


def _run(request: RunRequest, writer: MessageWriter) -> Finished:
    """Run the recipe as the command line does, and write the files."""
    run = open_run(request, OUT, writer.send_progress, trials=FileTrials(OUT, writer))
    result = carry_out_run(run, terms=JOB)
    for file in result.delivery.files:
        writer.send_artifact(file)
    if result.error is not None:
        raise result.error
    summary = result.delivery.summary
    return Finished(verdict=summary.verdict or SHIFT_VERDICTS[summary.shifted])


def _export(request: ExportRequest, writer: MessageWriter) -> Finished:
    """Export to ONNX as ``afternorm export`` does; parity is tested on the data, or on noise without data."""
    carry_out_export(open_export(request), ONNX)
    writer.send_artifact(ONNX)
    return Finished()


def _check_factory(architecture: str | None, factories: tuple[str, ...]) -> None:
    """Raise UsageError for a factory, which runs code, unless the operator allows it."""
    if architecture and ":" in architecture and architecture not in factories:
        raise UsageError(
            f"the architecture {architecture!r} is a factory that the server's operator has not allowed; name "
            "torchvision/<name>, timm/<name> or cifar/resnet<depth>, or ask the operator to allow it."
        )
