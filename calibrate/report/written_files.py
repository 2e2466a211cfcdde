"""The files a run wrote, each with its parity and latency in words."""

from dataclasses import dataclass

from calibrate.page import format as fmt
from calibrate.result import Artifact, Latency, Parity, Summary

NO_FILES = "No files were written."


@dataclass(frozen=True, slots=True)
class File:
    """A written file: its name, what it is, and one line for each check of it."""

    name: str
    kind: str
    sha256: str
    checks: tuple[str, ...]


def files(summary: Summary) -> tuple[File, ...]:
    """The written files; a network's file says also which checks are absent."""
    return tuple(
        File(
            fmt.printable(item.name),
            f"{item.format}, {fmt.size(item.bytes)}",
            fmt.printable(item.sha256),
            _checks(item),
        )
        for item in summary.artifacts
    )


def _checks(artifact: Artifact) -> tuple[str, ...]:
    parity = tuple(_parity(item) for item in artifact.parity)
    latency = tuple(_latency(item) for item in artifact.latency)
    if artifact.format not in ("safetensors", "onnx"):
        return parity + latency
    parity = parity or ("parity: absent, the reopened file was not compared",)
    if artifact.format == "onnx":
        latency = latency or ("latency: absent, not timed",)
    return parity + latency


def _parity(parity: Parity) -> str:
    inputs = {"data": "real inputs", "noise": "noise"}[parity.inputs]
    error = f"{parity.relative_error:.1e} of the largest logit"
    return f"parity at batch {parity.batch_size}: reopened, it differs by at most {error} ({inputs})"


def _latency(latency: Latency) -> str:
    ratio = f"ratio {latency.ratio:.3f} [{latency.ratio_low:.3f}, {latency.ratio_high:.3f}]"
    times = f"{latency.tuned_ms:.2f} ms against {latency.plain_ms:.2f} ms plain, {ratio}"
    conditions = f"{fmt.counted(latency.runs, 'run')}, {fmt.counted(latency.threads, 'thread')}"
    return f"latency at batch {latency.batch_size}: {times} ({conditions})"
