"""What a new step costs: one file in ``steps/``, one in ``engine/steps/``, and one line in each of two tables.

A toy probe and a toy tuning step are added to a copy of the tree; all else follows by itself.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TOY_PROBE = '''
"""The probe ``toy_probe``: how many parameters there are."""

from typing import Literal

from calibrate.page.section import Section
from calibrate.steps.step import Probe, ProbeResult


class ToyCount(ProbeResult):
    """So many parameters."""

    kind: Literal["toy_probe"] = "toy_probe"
    parameters: int

    def sections(self) -> tuple[Section, ...]:
        """The number."""
        return (Section("Toy count", (f"There are {self.parameters} toy parameters.",)),)


class ProbeToy(Probe):
    """Count the parameters, as a toy.

    With P the parameters::

        count = |P|

    *Changes nothing when* always: it only looks.

    *Helps when* a test wants a toy.

    *Does not help when* anyone else does.

    Cost: none.

    Limits: it is a toy.

    Reference: this test.
    """

    needs_labels = False
    result = ToyCount

    kind: Literal["toy_probe"] = "toy_probe"
'''

TOY_PROBE_HANDLER = '''
"""The probe ``toy_probe``."""

from calibrate.engine.handler import Handler
from calibrate.engine.run import Run
from calibrate.steps.toy_probe import ProbeToy, ToyCount


class ToyProbeHandler(Handler[ProbeToy]):
    """Counts."""

    def run(self, run: Run, step: ProbeToy) -> None:
        """See :meth:`Handler.run`."""
        count = sum(parameter.numel() for parameter in run.state.model.parameters())
        run.add_outcome_(ToyCount(tuned=run.state.changed, images=0, parameters=count))
'''

TOY_STEP = '''
"""The step ``toy_scale``: γ times a number."""

from typing import Literal

from calibrate.page.section import Section
from calibrate.steps.step import Sites, StepResult, StepValue


class ToyScaled(StepResult):
    """γ was scaled by the factor."""

    kind: Literal["toy_scale"] = "toy_scale"
    factor: float

    @property
    def tuned_parts(self) -> tuple[str, ...]:
        """γ."""
        return ("toy γ",)

    def sections(self) -> tuple[Section, ...]:
        """The factor."""
        return (Section("Toy scale", (f"Toy γ is {self.factor:g} times what it was.",)),)


class ToyScale(StepValue):
    """Scale γ, as a toy.

    With γ the scale of the matching layers::

        γ ← ``factor``·γ

    *Changes nothing when* ``factor`` is 1.

    *Helps when* a test wants a toy.

    *Does not help when* anyone else does.

    Cost: none.

    Limits: it is a toy.

    Reference: this test.
    """

    needs_labels = False
    tunes = True
    result = ToyScaled

    kind: Literal["toy_scale"] = "toy_scale"
    factor: float = 2.0
    sites: Sites = ("*",)
'''

TOY_STEP_HANDLER = '''
"""The step ``toy_scale``."""

import copy

import torch

from calibrate.engine.handler import Handler
from calibrate.engine.run import Run
from calibrate.steps.toy_scale import ToyScale, ToyScaled
from calibrate.surgery import find_sites, matching


class ToyScaleHandler(Handler[ToyScale]):
    """Scales."""

    def run(self, run: Run, step: ToyScale) -> None:
        """See :meth:`Handler.run`."""
        run.state.model = copy.deepcopy(run.state.model)
        with torch.no_grad():
            for site in matching(find_sites(run.state.model), step.sites):
                site.module.weight.mul_(step.factor)
        run.change_()
        run.add_outcome_(ToyScaled(factor=step.factor))
'''

PROGRAM = """
import json
import torch
from torch import nn
import calibrate
import calibrate.steps
from calibrate.cli.methods import _find
from calibrate.recipe import Recipe, STEP_KINDS
from calibrate.report import render_html, render_markdown, render_text
from service.jobs.kinds import PERMITTED
from service.methods import catalogue

network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
generator = torch.Generator().manual_seed(0)
examples = [(torch.randn(1, 8, 8, generator=generator), i % 2) for i in range(40)]
candidates = [{"name": "toy", "steps": [{"kind": "toy_scale", "factor": 0.5}]}]
auto = Recipe.model_validate({"steps": [{"kind": "auto", "candidates": candidates}]})
board = calibrate.retrofit(network, auto, data=examples).summary.last(calibrate.steps.Leaderboard)
recipe = Recipe.model_validate({"steps": [{"kind": "toy_scale"}, {"kind": "toy_probe"}]})
outcome = calibrate.retrofit(network, recipe, data=examples)
summary = type(outcome.summary).model_validate_json(outcome.summary.model_dump_json())
schema = Recipe.model_json_schema()["properties"]["steps"]["items"]["discriminator"]["mapping"]
print(json.dumps({
    "schema": sorted(set(schema) & {"toy_probe", "toy_scale"}),
    "methods": [_find(name).card.sentence for name in ("toy_probe", "toy_scale")],
    "catalogue": sorted(m.kind for m in catalogue(PERMITTED).methods if m.kind.startswith("toy")),
    "jobs": {kind: sorted(k for k in steps if k.startswith("toy")) for kind, steps in PERMITTED.items()},
    "tried": [[item.name, item.state] for item in board.rows],
    "factor": float(outcome.model[1].weight[0] / network[1].weight[0]),
    "found": [found.model_dump(mode="json") for found in summary.outcomes],
    "reports": [
        "338 toy parameters." in report and "Toy γ is 2 times what it was." in report
        for report in (render(summary) for render in (render_text, render_markdown, render_html))
    ],
}))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the copy with the two toys says of them."""
    tree = tmp_path_factory.mktemp("tree")
    for package in ("calibrate", "service"):
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, value, handler in (
        ("toy_probe", TOY_PROBE, TOY_PROBE_HANDLER),
        ("toy_scale", TOY_STEP, TOY_STEP_HANDLER),
    ):
        (tree / f"calibrate/steps/{name}.py").write_text(value.lstrip())
        (tree / f"calibrate/engine/steps/{name}.py").write_text(handler.lstrip())
    add_lines(tree / "calibrate/steps/table.py", "STEPS: tuple", ("toy_probe.ProbeToy", "toy_scale.ToyScale"))
    handlers = ("toy_probe.ProbeToy: toy_probe.ToyProbeHandler()", "toy_scale.ToyScale: toy_scale.ToyScaleHandler()")
    add_lines(tree / "calibrate/engine/steps/table.py", "HANDLERS: Handlers", handlers)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, object] = json.loads(ran.stdout)
    return said


def add_lines(table: Path, opening: str, lines: tuple[str, ...]) -> None:
    """Add ``lines``, with the import each needs, to the table that begins with ``opening``."""
    text = table.read_text()
    imports = ""
    for line in lines:
        for name in dict.fromkeys(word.split(".")[0] for word in line.replace(":", " ").split()):
            home = "engine.steps" if "engine" in str(table) else "steps"
            imports += f"from calibrate.{home} import {name}\n"
            if home == "engine.steps":
                imports += f"from calibrate.steps import {name} as {name}_value\n"
                line_ = line.replace(f"{name}.", f"{name}_value.", 1)
            else:
                line_ = line
        start = text.index("\n", text.index(opening)) + 1
        text = text[:start] + f"    {line_},\n" + text[start:]
    place = text.index(opening)
    table.write_text(text[:place] + imports + "\n" + text[place:])


def test_the_schema_and_the_lists_of_methods_have_both(told: dict[str, object]) -> None:
    assert told["schema"] == told["catalogue"] == ["toy_probe", "toy_scale"]
    assert told["methods"] == ["Count the parameters, as a toy", "Scale γ, as a toy"]


def test_jobs_permit_what_the_steps_say(told: dict[str, object]) -> None:
    assert told["jobs"] == {
        "calibrate": ["toy_probe", "toy_scale"],
        "evaluate": [],
        "probe": ["toy_probe"],
        "adapt": ["toy_probe"],
        "export": [],
    }


def test_auto_tries_the_tuning_step(told: dict[str, object]) -> None:
    assert told["tried"] == [["original", "measured"], ["T", "measured"], ["toy", "measured"]]


def test_both_are_carried_out_and_told_in_the_summary_and_in_all_reports(told: dict[str, object]) -> None:
    assert told["factor"] == 2.0
    assert told["found"] == [
        {"kind": "toy_scale", "factor": 2.0},
        {"tuned": True, "images": 0, "kind": "toy_probe", "parameters": 338},
    ]
    assert told["reports"] == [True, True, True]
