"""A network that exports badly costs its ONNX file at most, and its user reads why."""

import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from calibrate import Outputs, Recipe, Summary, deliver, retrofit
from calibrate.engine.delivery.proof import proven_onnx
from calibrate.errors import ExportError, ModelError
from calibrate.export.quiet import watching_autocast
from calibrate.recipe import GraphOptions
from calibrate.steps import SetAlpha
from tests.builders import unexportable
from tests.builders.examples import examples
from tests.builders.networks import warmed_up
from tests.builders.unexportable import BADLY_EXPORTED, Autocast, HalfInside, Small

RECIPE = Recipe(steps=[SetAlpha(alpha=0.2)])
ROOT = Path(unexportable.__file__).parents[2]
FILE = r"\S*" + re.escape(Path(unexportable.__file__).name)


def built(build: Callable[[], nn.Module]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        return warmed_up(build())


@pytest.mark.parametrize(("build", "wanted"), BADLY_EXPORTED.items(), ids=lambda item: getattr(item, "__name__", ""))
def test_weights_and_reports_are_written_and_the_reason_names_the_line(
    build: Callable[[], nn.Module], wanted: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = built(build)
    outcome = retrofit(network, RECIPE, data=examples())
    capfd.readouterr()
    delivery = deliver(outcome, network, tmp_path, Outputs(latency_runs=0))
    written = {path.name for path in tmp_path.iterdir()}
    assert {"tuned.safetensors", "summary.json", "report.html", "report.md", "report.txt"} <= written
    assert ("tuned.onnx" in written) == (wanted is None)
    assert capfd.readouterr() == ("", "")
    if wanted is None:
        assert delivery.problems == ()
    else:
        problem = delivery.problems[-1]
        assert "\n" not in problem
        assert re.search(wanted.format(file=FILE), problem), problem
        assert problem in [finding.message for finding in delivery.summary.findings]


def test_a_network_with_autocast_is_exported_without_and_the_difference_is_that_of_bfloat16(tmp_path: Path) -> None:
    network = built(Autocast)
    outcome = retrofit(network, RECIPE, data=examples())
    delivery = deliver(outcome, network, tmp_path, Outputs(formats=("onnx",), latency_runs=0))
    (finding,) = [item for item in delivery.summary.findings if item.code == "exported-without-autocast"]
    tuned, inputs = outcome.model.eval(), outcome.examples
    with torch.inference_mode():
        as_it_is = tuned(inputs)
        precise = tuned.head(tuned.maps(inputs))
    error = float((as_it_is - precise).abs().max() / precise.abs().max())
    assert error > 1e-4
    parity = delivery.summary.artifacts[0].parity
    assert max(item.autocast_error or 0 for item in parity) == pytest.approx(error, rel=0.5)
    assert max(item.relative_error for item in parity) <= 2e-5
    assert "without it" in finding.message


def _multiplied_without_autocast(seen: list[torch.dtype]) -> None:
    with watching_autocast(disabled=True) as entered, torch.autocast("cpu", dtype=torch.bfloat16):
        seen.extend(entered)
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        raise KeyError


def test_autocast_is_itself_again_after_an_error() -> None:
    before = torch.autocast.__enter__
    entered: list[torch.dtype] = []
    with pytest.raises(KeyError):
        _multiplied_without_autocast(entered)
    assert entered == [torch.bfloat16]
    assert torch.autocast.__enter__ is before
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_whatever_onnx_raises_costs_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = retrofit(built(Autocast), RECIPE, data=examples())

    def fails(*_: object, **__: object) -> object:
        raise MemoryError

    monkeypatch.setattr(torch.onnx, "export", fails)
    delivery = deliver(outcome, outcome.model, tmp_path, Outputs(latency_runs=0))
    assert "MemoryError" in delivery.problems[0]
    assert {"tuned.safetensors", "report.html"} <= {path.name for path in tmp_path.iterdir()}


def test_half_precision_inside_forward_is_allowed_what_its_rounding_makes_and_a_finding_says_so(tmp_path: Path) -> None:
    network = built(HalfInside)
    outcome = retrofit(network, RECIPE, data=examples())
    delivery = deliver(outcome, network, tmp_path, Outputs(formats=("onnx",), latency_runs=0))
    tuned, inputs = outcome.model.eval(), outcome.examples
    with torch.inference_mode():
        as_it_is, unrounded = tuned(inputs), tuned.head(tuned.maps(inputs) * 2)
    rounding = float((as_it_is - unrounded).abs().max() / as_it_is.abs().max())
    most = max(item.relative_error for item in delivery.summary.artifacts[0].parity)
    assert 2e-5 < most <= 2 * rounding < 1e-3
    assert "exported-within-rounding" in [finding.code for finding in delivery.summary.findings]


def test_a_process_that_dies_in_the_exporter_leaves_all_but_the_graph(tmp_path: Path) -> None:
    (tmp_path / "tuned.onnx").write_text("of an earlier run")
    code = (
        "from pathlib import Path; from calibrate import Outputs, Recipe, deliver, retrofit; "
        "from calibrate.steps import SetAlpha; from tests.builders.examples import examples; "
        "from tests.builders.networks import warmed_up; from tests.builders.unexportable import Dies; "
        "network = warmed_up(Dies()); "
        "outcome = retrofit(network, Recipe(steps=[SetAlpha(alpha=0.2)]), data=examples()); "
        f"deliver(outcome, network, Path({str(tmp_path)!r}), Outputs(latency_runs=0))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ended.returncode == -signal.SIGKILL
    written = {path.name for path in tmp_path.iterdir()}
    assert {"tuned.safetensors", "summary.json", "report.html", "report.md", "report.txt"} <= written
    assert "tuned.onnx" not in written
    summary = Summary.model_validate_json((tmp_path / "summary.json").read_text())
    assert [item.name for item in summary.artifacts] == ["tuned.safetensors"]
    assert "the process ended while it was made" in summary.findings[-1].message


class Pooled(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.adaptive_avg_pool2d(self.maps(x), 4))


class Tall(Small):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.maps(x)
        if h.shape[2] > 100:
            h = h * 2
        return self.head(h)


@pytest.mark.parametrize(
    ("build", "wanted"),
    [
        (Pooled, r"traced where .*height.* at .*test_reasons.py:\d+ \(`return .*adaptive_avg_pool2d"),
        (Tall, r"\(103, 8\) disprove.* traced where height - 2 <= 100 at .*test_reasons.py:\d+ \(`if h.shape\[2\]"),
    ],
)
def test_a_height_that_tracing_settled_is_found_and_named(build: Callable[[], nn.Module], wanted: str) -> None:
    with pytest.raises(ExportError, match=wanted):
        proven_onnx(built(build).eval(), torch.randn(3, 1, 8, 8), {}, "noise", 1, GraphOptions(dynamic=True))


class Locked(Small):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_what_cannot_be_copied_is_named() -> None:
    with pytest.raises(ModelError, match=r"its attribute lock is a _thread\.lock"):
        proven_onnx(Locked(), torch.randn(3, 1, 8, 8), {}, "noise", 1, GraphOptions())
