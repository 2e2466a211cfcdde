"""A network that exports badly costs its ONNX file at most, and its user reads why."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from calibrate import Outputs, Recipe, deliver, retrofit
from calibrate.export.quiet import watching_autocast
from calibrate.steps import SetAlpha
from tests.builders import unexportable
from tests.builders.examples import examples
from tests.builders.networks import warmed_up
from tests.builders.unexportable import BADLY_EXPORTED, Autocast

RECIPE = Recipe(steps=[SetAlpha(alpha=0.2)])
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
