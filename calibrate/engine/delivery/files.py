"""Delivering: the files of a run, written whole or not at all."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from calibrate.atomic import replace_files
from calibrate.data import Source, other_names
from calibrate.engine.delivery.proof import proven_onnx, repeated
from calibrate.engine.delivery.serving import measure_serving
from calibrate.engine.execution import KEPT_EXAMPLES, Outcome, first_examples
from calibrate.engine.inputs.reference import reference_missing
from calibrate.engine.opening.checkpoint import Opened
from calibrate.engine.passes.prediction import input_dtype
from calibrate.errors import AfternormError, ExportError, UsageError, said
from calibrate.export import (
    Provenance,
    check_tuned,
    measure_latency,
    require_runtime,
    to_onnx,
    tuned_bytes,
    usual_tolerance,
)
from calibrate.generators import torch_generator
from calibrate.recipe import GraphOptions, Outputs, Preprocessing, parse
from calibrate.report import render_html, render_markdown, render_text
from calibrate.request import COMMAND_LINE, Terms
from calibrate.result import (
    Artifact,
    Finding,
    Latency,
    Listener,
    Parity,
    Progress,
    Serving,
    Summary,
    reference_path,
    silent,
)
from calibrate.surgery import copied, logits_taken

if TYPE_CHECKING:
    import onnx

LATENCY_BATCHES = (1, 8)

WEIGHTS, ONNX = "tuned.safetensors", "tuned.onnx"

#: What a summary says that was written before the export began, and that no later one replaced.
ENDED = (
    f"{ONNX} was not written: the process ended while it was made, for want of memory perhaps. Pass --formats "
    "safetensors to ask for no ONNX file."
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """The summary with its artifacts, every file that was written, and what could not be written, in words."""

    summary: Summary
    files: tuple[Path, ...]
    problems: tuple[str, ...]


@dataclass(eq=False)
class _Pending:
    """What is to be written beside the summary and the reports: ``weights`` is the proof of tuned.safetensors."""

    weights: tuple[Parity, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    serving: tuple[Serving, ...] = ()

    @contextmanager
    def noting_problems(self, name: str) -> Iterator[None]:
        """Turn whatever making or proving the file ``name`` raises into a problem: the others are written."""
        try:
            yield
        except ExportError as error:
            self._note(name, str(error))
        except Exception as error:  # what ONNX, its runtime, or code of the network raises must cost no other file
            self._note(name, f"{said(error)}.")

    def _note(self, name: str, reason: str) -> None:
        without = " Pass --formats safetensors to ask for no ONNX file." if name.endswith(".onnx") else ""
        self.problems.append(f"{name} was not written: {reason}{without}")

    def note_autocast(self, parity: Sequence[Parity]) -> None:
        """Say where the graph computes in more precision than the network."""
        lost = [item.autocast_error for item in parity if item.autocast_error is not None]
        if lost:
            self.findings.append(
                Finding(
                    code="exported-without-autocast",
                    severity="info",
                    message="forward asks for torch.autocast, and tuned.onnx computes without it, in the network's "
                    f"own precision: its output differs by {max(lost):.1e} of the largest value at most.",
                )
            )

    def note_lower_precision(self, parity: Sequence[Parity], usual: float) -> None:
        """Say where the graph differs from the network by more than is usual, because the network rounds."""
        most = max(item.relative_error for item in parity)
        if most > usual:
            self.findings.append(
                Finding(
                    code="exported-within-rounding",
                    severity="info",
                    message="forward rounds to a lower precision than its inputs have, as h.half() does, where ONNX "
                    f"Runtime may round otherwise: the output of {ONNX} differs by {most:.1e} of the largest value at "
                    "most, which is within what these roundings make of it.",
                )
            )


def _artifact(
    name: str,
    kind: Literal["safetensors", "onnx"],
    content: bytes,
    parity: tuple[Parity, ...],
    latency: tuple[Latency, ...] = (),
) -> Artifact:
    digest = hashlib.sha256(content).hexdigest()
    return Artifact(name=name, format=kind, bytes=len(content), sha256=digest, parity=parity, latency=latency)


#: Names of files that a folder is not given.
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors", ".onnx", ".ckpt", ".bin")


def check_outputs(folder: Path, outputs: Outputs) -> None:
    """Raise, before any work, where ``outputs`` could not be delivered to ``folder``."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out {folder} is a file; give the path of a directory, new or existing.")
    if "onnx" in outputs.formats:
        require_runtime()


def deliver(
    outcome: Outcome,
    original: nn.Module,
    folder: Path,
    outputs: Outputs,
    *,
    progress: Listener = silent,
    terms: Terms = COMMAND_LINE,
) -> Delivery:
    """Write the tuned network in the formats of ``outputs``, and the summary and reports, into ``folder``.

    A recipe of probes changes no network, and writes none. ``original`` is the original network, to time the tuned one
    against. Every file appears under its name whole, and all but tuned.onnx before that is made: what the exporter and
    ONNX Runtime do to the process, such as running out of memory, costs no other file. A network file that fails its
    proof is not written; the others are, and ``problems`` says why. Beside tuned.safetensors stands the reference of a
    later shift, or a finding says why there is none. Reports speak of the request in ``terms``; the summary is the same
    whoever asks.
    """
    if all(step.is_probe for step in outcome.summary.recipe.steps):  # the network is the original
        outputs = outputs.model_copy(update={"formats": ()})
    pending = _Pending()
    if "safetensors" in outputs.formats:
        with pending.noting_problems(WEIGHTS):
            content = tuned_bytes(outcome.model, provenance(outcome, outcome.summary))
            pending.weights = (check_tuned(content, outcome.model, outcome.examples),)
            pending.findings += _add_reference(pending, outcome)
    if "onnx" in outputs.formats:
        _write(outcome, dataclasses.replace(pending, problems=[*pending.problems, ENDED]), folder, terms)
        (folder / ONNX).unlink(missing_ok=True)  # that of an earlier run
        _add_onnx(pending, outcome, original, outputs, progress)
    return _write(outcome, pending, folder, terms)


def _write(outcome: Outcome, pending: _Pending, folder: Path, terms: Terms) -> Delivery:
    """Write what is ``pending``, with the weights, the summary and the reports that tell of it."""
    problems = [Finding(code="not-written", severity="warning", message=text) for text in pending.problems]
    summary = outcome.summary.model_copy(
        update={"findings": (*outcome.summary.findings, *pending.findings, *problems), "serving": pending.serving}
    )
    files, artifacts = {}, []
    if pending.weights:
        files[WEIGHTS] = tuned_bytes(outcome.model, provenance(outcome, summary))
        artifacts.append(_artifact(WEIGHTS, "safetensors", files[WEIGHTS], pending.weights))
    files |= pending.files
    summary = summary.model_copy(update={"artifacts": (*artifacts, *pending.artifacts)})
    files["report.txt"] = render_text(summary, terms=terms).encode()
    files["report.html"] = render_html(summary, outcome.thumbnails, terms=terms).encode()
    files["report.md"] = render_markdown(summary, terms=terms).encode()
    files["summary.json"] = summary.model_dump_json(indent=2).encode()
    write_files(folder, files)
    return Delivery(summary, tuple(folder / name for name in files), tuple(pending.problems))


def save(outcome: Outcome, folder: Path, formats: Sequence[str]) -> tuple[Path, ...]:
    """Write ``outcome`` into ``folder`` without timing it; raises where a file fails its proof."""
    if folder.suffix in CHECKPOINT_SUFFIXES:
        raise UsageError(f"{folder} has the name of a file; give a folder, into which the network and reports go.")
    outputs = parse(Outputs, {"formats": list(formats), "latency_runs": 0}, "formats")
    check_outputs(folder, outputs)
    delivery = deliver(outcome, outcome.model, folder, outputs)
    if delivery.problems:
        raise ExportError(" ".join(delivery.problems))
    return delivery.files


def provenance(outcome: Outcome, summary: Summary) -> Provenance:
    """What the tuned file of ``outcome`` says of itself; ``summary`` is the outcome's, with what delivery added."""
    taken = logits_taken(outcome.model)
    return Provenance(
        architecture=summary.model.architecture,
        architecture_args=summary.model.architecture_args,
        preprocessing=summary.data.preprocessing,
        class_names=outcome.class_names,
        class_synonyms=other_names(outcome.class_names),
        recipe=summary.recipe,
        recipe_digest=summary.recipe_digest,
        summary_digest=summary.digest,
        temperature=summary.changes.temperature,
        temperature_folded_into=summary.changes.temperature_folded_into,
        link=None if taken is None else taken.link,
        link_module=None if taken is None else taken.module,
    )


def write_onnx(
    opened: Opened,
    examples: Tensor,
    path: Path,
    *,
    inputs: Literal["data", "noise"],
    threads: int,
    options: GraphOptions,
) -> tuple[Parity, ...]:
    """Write an opened network to ``path`` as ONNX, once the file has proved to compute the same on ``examples``."""
    digests = {}
    if opened.provenance is not None:
        digests = {"recipe_digest": opened.provenance.recipe_digest, "summary_digest": opened.provenance.summary_digest}
    graph, parity = proven_onnx(opened.model, examples, digests, inputs, threads, options)
    write_files(path.parent, {path.name: graph.SerializeToString()})
    return parity


def _add_onnx(pending: _Pending, outcome: Outcome, original: nn.Module, outputs: Outputs, progress: Listener) -> None:
    summary = outcome.summary
    threads = summary.environment.threads
    progress(Progress("export", 0, 3))
    metadata = {
        "producer": "afternorm " + summary.environment.afternorm,
        "recipe_digest": summary.recipe_digest,
        "summary_digest": summary.digest,
    }
    with pending.noting_problems(ONNX):
        graph, parity = proven_onnx(outcome.model, outcome.examples, metadata, "data", threads, outputs)
        pending.note_autocast(parity)
        pending.note_lower_precision(parity, usual_tolerance(outcome.examples))
        progress(Progress("export", 1, 3))
        latency: tuple[Latency, ...] = ()
        if outputs.latency_runs:
            latency = _timed(pending, graph, outcome, original, outputs, progress)
        pending.files[ONNX] = graph.SerializeToString()
        pending.artifacts.append(_artifact(ONNX, "onnx", pending.files[ONNX], parity, latency))
    progress(Progress("export", 3, 3))


def _timed(
    pending: _Pending,
    graph: "onnx.ModelProto",
    outcome: Outcome,
    original: nn.Module,
    outputs: Outputs,
    progress: Listener,
) -> tuple[Latency, ...]:
    """The latency of the tuned network's proved ``graph``; a finding instead, where it cannot be had."""
    threads = outcome.summary.environment.threads
    batches = [repeated(outcome.examples, size) for size in LATENCY_BATCHES]
    try:
        folded = to_onnx(copied(original).cpu(), repeated(outcome.examples, 2), {}, outputs)
        progress(Progress("export", 2, 3))
        latency = measure_latency(graph, folded, batches, outputs.latency_runs, threads)
        pending.serving = measure_serving(
            outcome.graphs, folded, batches, outputs.latency_runs, threads, progress, options=outputs
        )
    except Exception as error:  # a proved file is not lost for want of a figure
        pending.findings.append(
            Finding(code="not-timed", severity="warning", message=f"tuned.onnx could not be timed: {said(error)}.")
        )
        return ()
    return latency


def _add_reference(pending: _Pending, outcome: Outcome) -> tuple[Finding, ...]:
    """Add the reference of the tuned network to ``pending``; the finding that says why, where it cannot be made."""
    if outcome.reference is None:
        return ()
    try:
        content = outcome.reference().model_dump_json().encode()
    except AfternormError as error:
        return (reference_missing(str(error)),)
    pending.files[reference_path(Path(WEIGHTS)).name] = content
    return ()


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write ``files`` by their names into ``folder``, made where it is missing: each appears whole."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_files(folder, files)
    except OSError as error:
        raise UsageError(
            f"the results cannot be written to {folder}: {error.strerror}; pass another directory with --out."
        ) from None


def proof_examples(opened: Opened, source: Source | None, preprocessing: Preprocessing | None) -> Tensor:
    """The first inputs (n, C, *) of ``source``, n at most 64; without a source, seeded noise of the input's size."""
    if source is not None:
        return first_examples(source, input_dtype(opened.model))
    side = preprocessing and (preprocessing.crop or preprocessing.resize)
    if preprocessing is None or not side:
        raise UsageError(
            f"the input size of {opened.architecture} is not known; pass --data with real inputs, "
            "or --preprocessing with a crop, such as '{crop: 224}'."
        )
    generator = torch_generator(0)
    shape = (KEPT_EXAMPLES, preprocessing.channels, side, side)
    return torch.randn(*shape, generator=generator).to(input_dtype(opened.model))
