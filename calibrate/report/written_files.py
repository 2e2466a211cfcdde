"""The files a run wrote, each with its parity and latency in words, and the graphs that were timed."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Row, Section, Table
from calibrate.result import Artifact, Latency, Parity, Serving, Summary


def files_section(summary: Summary) -> Section:
    """The written files; a network's file says also which checks are absent."""
    facts = tuple((fmt.printable(item.name), _words(item)) for item in summary.artifacts)
    return Section("Files", () if facts else ("No network was written.",), facts=facts)


def serving_section(serving: tuple[Serving, ...]) -> Section:
    """The graphs of a leaderboard in ONNX Runtime, against the folded original network."""
    rows = tuple(Row(fmt.printable(item.graph), "", _costs(item)) for item in serving)
    words = ("Size and latency of the ONNX graphs, over those of the folded original network (smallest batch timed).",)
    return Section("Serving", words, Table(("size", "latency"), rows))


def _costs(serving: Serving) -> tuple[Cell, ...]:
    size = Cell(f"{serving.bytes / serving.original_bytes:.2f}")
    if not serving.latency:
        return size, Cell(ABSENT)
    first = serving.latency[0]
    return size, Cell(f"{first.ratio:.2f}", f"[{first.ratio_low:.2f}, {first.ratio_high:.2f}]")


def _words(artifact: Artifact) -> str:
    what = f"{artifact.format}, {fmt.size(artifact.bytes)}"
    return "; ".join((what, f"sha256 {fmt.printable(artifact.sha256)}", *_checks(artifact)))


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
    size = f" of {'×'.join(map(str, parity.size))}" if parity.size else ""
    return f"parity at batch {parity.batch_size}{size}: reopened, it differs by at most {error} ({inputs})"


def _latency(latency: Latency) -> str:
    ratio = f"ratio {latency.ratio:.3f} [{latency.ratio_low:.3f}, {latency.ratio_high:.3f}]"
    times = f"{latency.tuned_ms:.2f} ms against {latency.original_ms:.2f} ms of the original, {ratio}"
    conditions = f"{fmt.counted(latency.runs, 'run')}, {fmt.counted(latency.threads, 'thread')}"
    return f"latency at batch {latency.batch_size}: {times} ({conditions})"
