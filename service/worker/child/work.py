"""What is done for which kind of request."""

from pathlib import Path

from calibrate.engine import carry_out_export, carry_out_run, open_export, open_run, set_up_process
from calibrate.errors import UsageError
from calibrate.request import JOB, ExportRequest, RunRequest, told_in
from service.worker.assignment import Assignment, DatasetCheck, ModelCheck
from service.worker.child.check import check_dataset, check_model
from service.worker.child.trials import FileTrials
from service.worker.child.voice import Voice
from service.worker.messages import Checked, Finished

OUT = Path("../out")
ONNX = OUT / "model.onnx"


def carry_out(assignment: Assignment, voice: Voice) -> Finished | Checked:
    """Do what is asked; the last message is returned, not said. Errors speak of the job's fields."""
    set_up_process(assignment.threads)
    with told_in(JOB):
        match assignment.request:
            case RunRequest() as request:
                _refuse_foreign_code(request.architecture, assignment.factories)
                return _run(request, voice)
            case ExportRequest() as request:
                _refuse_foreign_code(request.architecture, assignment.factories)
                return _export(request, voice)
            case ModelCheck() as check:
                _refuse_foreign_code(check.architecture, assignment.factories)
                return check_model(check)
            case DatasetCheck() as check:
                return check_dataset(check)


def _run(request: RunRequest, voice: Voice) -> Finished:
    """As the command does: tune, look or measure, and write the files."""
    result = carry_out_run(open_run(request, OUT, voice.progress), trials=FileTrials(OUT, voice))
    for file in result.delivery.files:
        voice.artifact(file)
    if result.error is not None:
        raise result.error
    return Finished(verdict=result.delivery.summary.verdict)


def _export(request: ExportRequest, voice: Voice) -> Finished:
    """As ``afternorm export``: write the network as ONNX, proved on data where there are some, else on noise."""
    carry_out_export(open_export(request), ONNX)
    voice.artifact(ONNX)
    return Finished()


def _refuse_foreign_code(architecture: str | None, factories: tuple[str, ...]) -> None:
    """Raise UsageError for a factory, which is code, unless it is one that the operator allows."""
    if architecture and ":" in architecture and architecture not in factories:
        raise UsageError(
            f"the architecture {architecture!r} is code of the server's operator, who has not allowed it; name "
            "torchvision/<name>, timm/<name> or cifar/resnet<depth>, or ask for it to be allowed."
        )
