"""From a request to its results: the one way that commands, batches and jobs take."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from calibrate.data import TRAINING, Source, open_data, read_class_map, read_classes
from calibrate.engine.delivery.files import Delivery, check_outputs, deliver, proof_examples, write_onnx
from calibrate.engine.execution import Plan, carry_out, plan
from calibrate.engine.inputs.reference import make_reference, read_reference, write_reference
from calibrate.engine.opening.checkpoint import Opened, open_model
from calibrate.engine.opening.machine import find_device, machine_facts
from calibrate.engine.opening.process import set_up_process
from calibrate.engine.trials.folder import FolderTrials
from calibrate.engine.trials.store import Trials
from calibrate.errors import AfternormError, ExportError, GateError, UsageError
from calibrate.export import require_runtime
from calibrate.recipe import Preprocessing
from calibrate.request import COMMAND_LINE, ExportRequest, Requirement, RunRequest, Terms
from calibrate.result import Listener, Parity, Summary, reference_path, silent
from calibrate.steps import FieldShift, NotApplicable, kind_of


@dataclass(frozen=True, slots=True, eq=False)
class OpenedRun:
    """A request whose model and data are open and whose recipe can be carried out on them; results go to ``out``."""

    request: RunRequest
    out: Path | None
    opened: Opened
    plan: Plan


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to: its summary and files, and the ``error`` to raise once these have been shown."""

    delivery: Delivery
    error: AfternormError | None


@dataclass(frozen=True, slots=True, eq=False)
class OpenedExport:
    """A model to be exported, and the inputs (n, C, *) to prove its file on."""

    request: ExportRequest
    opened: Opened
    examples: Tensor


def open_run(
    request: RunRequest, out: Path | None, progress: Listener = silent, *, trials: Trials | Path | None = None
) -> OpenedRun:
    """Set up this process, open the model and the data, and check everything before the first full pass.

    The results are to go to the folder ``out``; None means that nothing is to be written. What ``trials`` recalls (as a
    path: a folder) of the passes is not made again, and how they are made is as it was.
    """
    if out is not None:
        check_outputs(out, request.outputs)
    set_up_process(request.settings.threads)
    opened = _open_model(request)
    shape = _preprocessing(request, opened)
    if isinstance(trials, Path):
        trials = FolderTrials(trials, trials_identity(request, opened, shape))
    checked = plan(
        opened.model,
        request.recipe,
        data=_open_data(request, request.data, opened, shape),
        training=_open_training(request, shape),
        preprocessing=shape,
        classes=None,
        batch_size=request.settings.batch_size,
        device=request.settings.device,
        autocast=request.settings.autocast,
        progress=progress,
        trials=trials,
        reference=None if request.reference_file is None else read_reference(request.reference_file),
    )
    return OpenedRun(request, out, opened, replace(checked, findings=(*opened.findings, *checked.findings)))


def carry_out_run(run: OpenedRun, *, require: Sequence[Requirement] = (), terms: Terms = COMMAND_LINE) -> RunResult:
    """Carry out an opened run and write its files; reports speak of the request in ``terms``.

    Without all that is required, the reports are written and the tuned model is not.
    """
    request, opened, out = run.request, run.opened, run.out
    if Requirement.NO_SHIFT in require and not any(step.needs_reference for step in request.recipe.steps):
        raise UsageError(
            "--require no-shift was given, and no step of the recipe compares the data with a reference; add the step "
            "{kind: field_shift}, or give the recipe field_shift."
        )
    outcome = carry_out(opened.model, run.plan, opened.architecture, opened.architecture_args)
    summary = outcome.summary
    missed = [item for item in require if not item.is_met_by(summary.verdict, summary.unsound, shifted=summary.shifted)]
    delivery = Delivery(summary, (), ())
    if out is not None:
        wanted = request.outputs if not missed else request.outputs.model_copy(update={"formats": ()})
        delivery = deliver(outcome, opened.model, out, wanted, progress=run.plan.given.setting.progress, terms=terms)
    error: AfternormError | None = None
    if missed:
        error = _gate_error(missed, summary, "the report" if out is None else str(out / "report.html"))
    elif delivery.problems:
        error = ExportError(" ".join(delivery.problems))
    return RunResult(delivery, error)


def accept_data(run: OpenedRun) -> Path:
    """Make the data of an opened run the reference of its network, and write it; where it is written.

    Where the request names no place for it, that is beside the network's file.
    """
    given = run.plan.given
    path = run.request.reference or reference_path(run.request.model)
    rows = np.arange(len(given.source))
    write_reference(make_reference(given.original, given.source, rows, given.setting, given.seed), path)
    return path


def open_export(request: ExportRequest) -> OpenedExport:
    """Set up this process, open the model, and read the inputs to prove its file on: the data's first, else noise."""
    require_runtime()
    set_up_process(request.threads)
    opened = _open_model(request)
    shape = _preprocessing(request, opened)
    source = None if request.data is None else _open_data(request, request.data, opened, shape)
    return OpenedExport(request, opened, proof_examples(opened, source, shape))


def carry_out_export(export: OpenedExport, path: Path) -> tuple[Parity, ...]:
    """Write the model to ``path`` as ONNX, once the file has proved to compute the same."""
    inputs: Literal["data", "noise"] = "noise" if export.request.data is None else "data"
    threads = torch.get_num_threads()
    return write_onnx(export.opened, export.examples, path, inputs=inputs, threads=threads, options=export.request)


def trials_identity(request: RunRequest, opened: Opened, preprocessing: Preprocessing | None) -> str:
    """What the trials of a run depend on and their keys do not tell: passes made otherwise are made again.

    Batch size and threads only where the request asks for some: else those of the first attempt are taken.
    """
    shape = None if preprocessing is None else preprocessing.model_dump(mode="json")
    settings = request.settings.model_dump(mode="json", exclude={"device"}, exclude_defaults=True)
    place = machine_facts(find_device(request.settings.device))
    return json.dumps(
        [opened.architecture, opened.architecture_args, shape, settings, place], sort_keys=True, default=str
    )


def _gate_error(missed: Sequence[Requirement], summary: Summary, report: str) -> AfternormError:
    """Why what was required does not hold; a UsageError where that cannot be told."""
    reasons = []
    for item in missed:
        reason = f"the verdict is {summary.verdict or 'none'}"
        if item == Requirement.SOUND:
            reason = " and ".join(summary.unsound)
        elif item == Requirement.NO_SHIFT:
            found = summary.last(FieldShift)
            if found is None:
                reasons = [absent.reason for absent in summary.of(NotApplicable) if absent.probe == kind_of(FieldShift)]
                return UsageError(
                    f"--require {item} was given, and it cannot be told whether the data have shifted: "
                    f"{'; '.join(reasons)}."
                )
            reason = found.words()
        reasons.append(f"--require {item} was given, and {reason}")
    if all(step.is_probe for step in summary.recipe.steps):
        return GateError(f"{'; '.join(reasons)}. {report} says more.")
    return GateError(f"{'; '.join(reasons)}; so no network was written, and {report} says why.")


def _open_model(request: RunRequest | ExportRequest) -> Opened:
    return open_model(request.model, request.architecture, request.architecture_args, weights=request.weights)


def _preprocessing(request: RunRequest | ExportRequest, opened: Opened) -> Preprocessing | None:
    """How images are prepared: as the request says, else as the model's architecture or its tuned file does.

    ``auto`` alone sets out from the latter.
    """
    asked, own = request.preprocessing, opened.preprocessing
    if asked == Preprocessing(auto=True) and own is not None:
        return own.model_copy(update={"auto": True})
    return asked or own


def _open_training(request: RunRequest, preprocessing: Preprocessing | None) -> Source | None:
    """The training data, if any: the part train of data that hold several."""
    if request.training_data is None:
        return None
    most = request.skip_broken if request.training_skip_broken is None else request.training_skip_broken
    return open_data(
        request.training_data,
        preprocessing=preprocessing,
        split=request.training_split,
        skip_broken=most,
        usual=TRAINING,
    )


def _open_data(
    request: RunRequest | ExportRequest, data: str, opened: Opened, preprocessing: Preprocessing | None
) -> Source:
    """``data``, with the classes of the model where they are known."""
    classes, class_map = request.classes, request.class_map
    return open_data(
        data,
        preprocessing=preprocessing,
        classes=(read_classes(classes) if isinstance(classes, Path) else classes) or opened.class_names,
        class_map=read_class_map(class_map) if isinstance(class_map, Path) else class_map,
        split=request.split,
        skip_broken=request.skip_broken,
    )
