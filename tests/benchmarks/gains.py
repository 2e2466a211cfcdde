"""What each recipe gains over the temperature alone, on published networks and real images; the README's table.

    python -m tests.benchmarks.gains [--rows efficientnet-lite0 'resnet*'] [--recipes alpha] [--again]

A cell of the table is one row (a network and its images, as they are or corrupted) under one recipe. It is measured by
``retrofit``, which chooses on one half of the images and measures on the other, and kept in
``tests/benchmarks/gains/<row>.<recipe>.json``. A cell whose file is there is not measured again without ``--again``, so
that an interrupted run goes on where it was. At the end the table of all cells is written into the README.

Images come from ../shared (or $AFTERNORM_SHARED); corruptions are made once a row. The first 17 × 3 cells took 107
minutes on one thread of two busy cores. A new network goes into ``tests/builders/published.py``, and then into ROWS.
"""

import argparse
import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from torch import nn

from calibrate import Recipe, retrofit
from calibrate.atomic import replacing
from calibrate.data import Corrupted, Source, cached
from calibrate.engine import set_up_process
from calibrate.result import Summary
from calibrate.steps import JUDGED, Arm, Corruption, Measure, Reestimate, SearchAlpha, Temperature, c_style
from calibrate.values import Estimate, Metric, Value, Verdict
from tests.builders.published import PUBLISHED, Published

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FOLDER = Path(__file__).with_suffix("")
SHARED = Path(os.environ.get("AFTERNORM_SHARED", ROOT.parent / "shared"))
MARKERS = ("<!-- gains: begin -->", "<!-- gains: end -->")


@dataclass(frozen=True)
class Row:
    """A network, and its images as they are or with a C-style corruption of some severity.

    ``batch_size`` is what the network runs fastest with on one core.
    """

    network: Published
    name: str
    corruption: Corruption | None = None
    severity: int = 3
    batch_size: int = 8

    def __str__(self) -> str:
        """How the table calls it."""
        shift = f", {c_style(self.corruption)} {self.severity}" if self.corruption else ""
        return f"{self.network.title} on {self.network.images}{shift}"

    def open(self, shared: Path) -> tuple[nn.Module, Source]:
        """The network, and its images as 8-bit pixels kept: decoded, prepared and corrupted once."""
        model, source = self.network.open(shared)
        if self.corruption:
            source = Corrupted(source, self.corruption, self.severity, seed=0)
        return model, cached(source)


CORRUPTIONS: tuple[Corruption, ...] = ("fog", "gaussian_noise", "contrast", "defocus_blur")
ROWS = tuple(
    Row(PUBLISHED[name], f"{name}-{corruption}-3" if corruption else name, corruption)
    for name in ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
    for corruption in (None, *CORRUPTIONS)
) + tuple(Row(PUBLISHED[name], name, batch_size=64) for name in ("resnet20", "resnet56"))

#: By the name of their cells: how the table calls a recipe, and the recipe. The first is what others are compared with.
RECIPES: Mapping[str, tuple[str, Recipe]] = {
    "temperature": ("T alone", Recipe(steps=[Temperature(), Measure()])),
    "alpha": ("α + T", Recipe(steps=[SearchAlpha(curve=False), Temperature(), Measure()])),
    "reestimated": ("re-estimated + T", Recipe(steps=[Reestimate(), Temperature(), Measure()])),
}


class Cell(Value):
    """What was measured of one row under one recipe.

    ``n`` images are held out, and nothing is chosen on them. ``scores`` are of each arm there, ``against_t`` what the
    tuned network with its temperature has more than the temperature alone; both with 95 % intervals (paired bootstrap
    over the images). ``alpha`` is the mean over the layers, None where none weighs examples. ``model`` and ``data`` are
    fingerprints.
    """

    row: str
    recipe: str
    recipe_digest: str
    n: int
    scores: dict[Arm, dict[Metric, Estimate]]
    against_t: dict[Metric, Estimate] | None
    verdict: Verdict | None
    alpha: float | None
    temperature: float
    model: str
    data: str
    seconds: float
    threads: int
    batch_size: int
    versions: dict[str, str]


Cells = Mapping[tuple[str, str], Cell]


def measured(row: Row, recipe: str, model: nn.Module, source: Source) -> Cell:
    """Carry out a recipe on the row's network."""
    start = time.perf_counter()
    summary = retrofit(model, RECIPES[recipe][1], data=source, batch_size=row.batch_size, device="cpu").summary
    return cell_of(row.name, recipe, summary, time.perf_counter() - start)


def cell_of(row: str, recipe: str, summary: Summary, seconds: float) -> Cell:
    """The cell that a run of the recipe gives."""
    measurement, environment = summary.measurement, summary.environment
    assert measurement is not None, "each recipe of the table measures"
    difference = measurement.verdict_difference
    alphas = summary.changes.alphas
    return Cell(
        row=row,
        recipe=recipe,
        recipe_digest=summary.recipe_digest,
        n=measurement.n,
        scores={scores.arm: _judged(scores.metrics) for scores in measurement.arms},
        against_t=_judged(difference.metrics) if difference else None,
        verdict=summary.verdict,
        alpha=sum(alphas) / len(alphas) if alphas else None,
        temperature=summary.changes.temperature,
        model=summary.model.fingerprint,
        data=summary.data.fingerprint,
        seconds=round(seconds, 1),
        threads=environment.threads,
        batch_size=environment.batch_size,
        versions={
            "afternorm": environment.afternorm,
            "python": environment.python,
            **environment.versions,
            "imagecorruptions-imaug": metadata.version("imagecorruptions-imaug"),
        },
    )


def measure(rows: Iterable[Row], recipes: Iterable[str], folder: Path, shared: Path, *, again: bool = False) -> None:
    """Measure the cells that have no file in ``folder``, or all ``again``; each file appears whole, once it is done."""
    folder.mkdir(exist_ok=True)
    names = tuple(recipes)
    for row in rows:
        missing = [name for name in names if again or not (folder / f"{row.name}.{name}.json").exists()]
        if not missing:
            continue
        model, source = row.open(shared)
        for name in missing:
            cell = measured(row, name, model, source)
            with replacing(folder / f"{row.name}.{name}.json") as file:
                file.write(f"{cell.model_dump_json(indent=1)}\n".encode())
            print(f"{row}, {RECIPES[name][0]}: {in_words(cell)} ({cell.seconds:.0f} s)", flush=True)


def read_cells(folder: Path) -> Cells:
    """All cells that ``folder`` holds."""
    cells = [Cell.model_validate_json(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {(cell.row, cell.recipe): cell for cell in cells}


def table(cells: Cells) -> str:
    """The table as markdown, one line a row."""
    baseline, *others = RECIPES
    heads = [f"{RECIPES[name][0]}: top-1 points, NLL" for name in others]
    lines = ["| network and images | held out | T alone: top-1, NLL | " + " | ".join(heads) + " |"]
    lines.append("|---|---|---|" + "---|" * len(others))
    for row in ROWS:
        start = cells.get((row.name, baseline))
        held_out = f"{start.n:,}" if start else ""
        changes = [in_words(cells[row.name, name]) if (row.name, name) in cells else "not measured" for name in RECIPES]
        lines.append(f"| {' | '.join([str(row), held_out, *changes])} |")
    return "\n".join(lines)


def in_words(cell: Cell) -> str:
    """What a cell says: T's scores, or the verdict and the changes against T with their intervals."""
    if cell.against_t is None:
        scores = cell.scores["T"]
        return f"{100 * scores['top1'].value:.1f} %, {number(scores['nll'].value, 3)}"
    top1, nll = (cell.against_t[metric] for metric in ("top1", "nll"))
    if not any((change.value, change.low, change.high) != (0, 0, 0) for change in (top1, nll)):
        return f"{cell.verdict}: nothing changed"
    changes = f"{_change(top1, 100, 1)}, {_change(nll, 1, 3)}"
    return f"{cell.verdict if cell.verdict == 'no evidence' else f'**{cell.verdict}**'}: {changes}"


def number(value: float, digits: int, sign: str = "") -> str:
    """A number as the README writes it: no 0 before the point, and 0 for what is 0 to one more digit.

    With that digit it is on the side of 0 that the verdict counts it on.

    >>> number(-0.2604, 3, "+"), number(6.44, 1, "+"), number(0.5, 3)
    ('−.260', '+6.4', '.500')
    >>> number(-0.0003, 3, "+"), number(-0.00003, 3, "+")
    ('−.0003', '0')
    """
    shown = digits if round(value, digits) else digits + 1
    text = f"{value:{sign}.{shown}f}".replace("-", "−")
    return re.sub(r"^([+−]?)0\.", r"\1.", text) if round(value, shown) else "0"


def with_table(page: str, text: str) -> str:
    """The page with ``text`` between its markers."""
    before, found, rest = page.partition(MARKERS[0])
    _, closed, after = rest.partition(MARKERS[1])
    assert found, f"the page has no line {MARKERS[0]}"
    assert closed, f"the page has no line {MARKERS[1]}"
    return f"{before}{found}\n{text}\n{closed}{after}"


def _judged(metrics: Mapping[Metric, Estimate]) -> dict[Metric, Estimate]:
    return {metric: metrics[metric] for metric in JUDGED}


def _change(change: Estimate, scale: int, digits: int) -> str:
    value, low, high = (number(scale * item, digits, "+") for item in (change.value, change.low, change.high))
    return f"{value} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=["*"], metavar="PATTERN", help="names, or patterns with *")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--again", action="store_true", help="measure the chosen cells though their files are there")
    given = parser.parse_args()
    rows = [row for row in ROWS if any(fnmatch(row.name, pattern) for pattern in given.rows)]
    if not rows:
        parser.error(f"no row is called {', '.join(given.rows)}; choose from {', '.join(row.name for row in ROWS)}")
    set_up_process(1)
    if SHARED.is_dir():
        measure(rows, given.recipes, FOLDER, SHARED, again=given.again)
    else:
        print(f"nothing measured: needs the shared models and data, and {SHARED} is not there")
    README.write_text(with_table(README.read_text(encoding="utf-8"), table(read_cells(FOLDER))), encoding="utf-8")


if __name__ == "__main__":
    main()
