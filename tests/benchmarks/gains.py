"""What each recipe gains over the temperature alone, on published networks and real images; the README's table.

    python -m tests.benchmarks.gains [--rows resnet20 'resnet56*'] [--recipes statistics quick] [--trials DIR] [--again]

A cell of the table is one row (a network and its images, as they are or corrupted) under one recipe. A run chooses on
one half of the images and measures on the other, and the cell is kept in
``tests/benchmarks/gains/<row>.<recipe>.json``. A cell whose file is there is not measured again without ``--again``, so
that an interrupted run goes on where it was. Rows are measured in the order of the patterns. The recipes of a row share
their passes, which are kept in ``--trials``; the folder may be removed between runs. At the end the table of all cells
is written into the README, with the recipes that it shows, and the whole one is printed.

Images come from ../shared (or $AFTERNORM_SHARED); corruptions are made once a row. The first 17 × 3 cells took 107
minutes on one thread of two busy cores. A new network goes into ``tests/builders/published.py``, and then into ROWS.
"""

import argparse
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

from torch import nn

from calibrate import PRESETS, Recipe
from calibrate.atomic import replacing
from calibrate.data import Corrupted, Source, cached
from calibrate.engine import carry_out, set_up_process
from calibrate.engine.trials.folder import FolderTrials
from calibrate.result import Summary
from calibrate.steps import (
    JUDGED,
    Arm,
    Auto,
    Corruption,
    Leaderboard,
    Measure,
    Reestimate,
    SearchAlpha,
    SearchStatistics,
    StatisticsSearch,
    Temperature,
    TuneAffine,
    c_style,
)
from calibrate.values import Estimate, Metric, Value, Verdict
from tests.builders.published import PUBLISHED, Published
from tests.builders.runs import planned

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


def _rows(network: str, shifts: Sequence[tuple[Corruption, int]], batch_size: int) -> tuple[Row, ...]:
    shifted = (
        Row(PUBLISHED[network], f"{network}-{corruption}-{severity}", corruption, severity, batch_size)
        for corruption, severity in shifts
    )
    return (Row(PUBLISHED[network], network, batch_size=batch_size), *shifted)


IMAGENET: tuple[tuple[Corruption, int], ...] = (
    ("fog", 3),
    ("gaussian_noise", 3),
    ("contrast", 3),
    ("defocus_blur", 3),
)
CIFAR: tuple[tuple[Corruption, int], ...] = (("fog", 3), ("gaussian_noise", 2), ("contrast", 3))
ROWS = (
    *_rows("efficientnet-lite0", IMAGENET, 8),
    *_rows("efficientnet-lite1", IMAGENET, 8),
    *_rows("efficientnet-lite2", IMAGENET, 8),
    *_rows("resnet20", CIFAR, 64),
    *_rows("resnet56", CIFAR, 64),
)


@dataclass(frozen=True)
class Way:
    """A recipe, what the table calls it, whether the README shows it, and where it is measured: None is everywhere."""

    title: str
    recipe: Recipe
    shown: bool = False
    corruptions: tuple[Corruption | None, ...] | None = None

    def is_for(self, row: Row) -> bool:
        """Whether the row has a cell of it."""
        return self.corruptions is None or row.corruption in self.corruptions


def _then(*steps: SearchAlpha | SearchStatistics | TuneAffine | Reestimate) -> Recipe:
    return Recipe(steps=[*steps, Temperature(), Measure()])


_ALPHA = SearchAlpha(curve=False)

#: By the name of their cells, in the order in which they share most passes. The first is what others are compared with.
RECIPES: Mapping[str, Way] = {
    "temperature": Way("T alone", _then(), shown=True),
    "quick": Way("quick", PRESETS["quick"], shown=True),
    "statistics": Way("statistics", PRESETS["statistics"], shown=True),
    "alpha": Way("α + T", _then(_ALPHA), shown=True),
    "reestimated": Way("re-estimated + T", _then(Reestimate()), shown=True),
    "statistics-alpha": Way("statistics, α", _then(SearchStatistics(), _ALPHA)),
    "information": Way("statistics by mutual information", _then(SearchStatistics(criterion="mutual_information"))),
    "information-unguarded": Way(
        "the same without a margin", _then(SearchStatistics(criterion="mutual_information", margin=0.0))
    ),
    "affine": Way("γ and β", _then(TuneAffine())),
    "auto-20": Way("auto, 20 passes", Recipe(steps=[Auto(max_passes=20)]), corruptions=(None, "fog")),
}


class Cell(Value):
    """What was measured of one row under one recipe.

    ``n`` images are held out, and nothing is chosen on them. ``scores`` are of each arm there, ``against_t`` what the
    tuned network with its temperature has more than the temperature alone; both with 95 % intervals (paired bootstrap
    over the images). ``alpha`` is the mean over the layers, None where none weighs examples; ``mix`` is λ at the first
    and the last layer that a search for it took, and ``best_mix`` the one that its criterion liked best, before the
    margin. Among candidates one was ``chosen``, and was ``recommended``, or T, or nothing; then there is no
    ``against_t``. ``model`` and ``data`` are fingerprints. ``passes`` are what the recipe takes alone, ``seconds`` what
    it took after others of the row had made some of them.
    """

    row: str
    recipe: str
    recipe_digest: str
    n: int
    scores: dict[Arm, dict[Metric, Estimate]]
    against_t: dict[Metric, Estimate] | None
    verdict: Verdict | None
    alpha: float | None
    mix: tuple[float, float] | None = None
    best_mix: tuple[float, float] | None = None
    chosen: str | None = None
    recommended: str | None = None
    temperature: float
    passes: float | None = None
    model: str
    data: str
    seconds: float
    threads: int
    batch_size: int
    versions: dict[str, str]


Cells = Mapping[tuple[str, str], Cell]


def measured(row: Row, recipe: str, model: nn.Module, source: Source, trials: FolderTrials) -> Cell:
    """Carry out a recipe on the row's network; passes that ``trials`` has are not made again."""
    start = time.perf_counter()
    checked = planned(model, RECIPES[recipe].recipe, source, batch_size=row.batch_size, trials=trials)
    summary = carry_out(model, checked, "", {}).summary
    return cell_of(row.name, recipe, summary, time.perf_counter() - start)


def cell_of(row: str, recipe: str, summary: Summary, seconds: float) -> Cell:
    """The cell that a run of the recipe gives."""
    measurement, environment = summary.measurement, summary.environment
    assert measurement is not None, "each recipe of the table measures"
    difference = measurement.verdict_difference
    alphas = summary.changes.alphas
    search, board = summary.last(StatisticsSearch), summary.last(Leaderboard)
    return Cell(
        row=row,
        recipe=recipe,
        recipe_digest=summary.recipe_digest,
        n=measurement.n,
        scores={scores.arm: _judged(scores.metrics) for scores in measurement.arms},
        against_t=_judged(difference.metrics) if difference else None,
        verdict=summary.verdict if difference else None,
        alpha=sum(alphas) / len(alphas) if alphas else None,
        mix=search.chosen if search else None,
        best_mix=search.best if search else None,
        chosen=board.chosen if board else None,
        recommended=board.recommended if board else None,
        temperature=summary.changes.temperature,
        passes=round(summary.timings.passes, 1),
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


def missing(row: Row, recipes: Iterable[str], folder: Path) -> list[str]:
    """Those of ``recipes`` that the row is measured with and has no file of yet, in the order of RECIPES."""
    return [name for name in recipes if RECIPES[name].is_for(row) and not (folder / f"{row.name}.{name}.json").exists()]


def measure(
    rows: Iterable[Row], recipes: Iterable[str], folder: Path, shared: Path, trials: Path, *, again: bool = False
) -> None:
    """Measure the cells that have no file in ``folder``, or all ``again``; each file appears whole, once it is done."""
    folder.mkdir(exist_ok=True)
    names = tuple(recipes)
    for row in rows:
        wanted = [name for name in names if RECIPES[name].is_for(row)] if again else missing(row, names, folder)
        if not wanted:
            continue
        model, source = row.open(shared)
        kept = FolderTrials(trials / row.name, f"{row.batch_size} {metadata.version('torch')}")
        for name in wanted:
            cell = measured(row, name, model, source, kept)
            with replacing(folder / f"{row.name}.{name}.json") as file:
                file.write(f"{cell.model_dump_json(indent=1)}\n".encode())
            print(f"{row}, {RECIPES[name].title}: {in_words(cell)} ({cell.seconds:.0f} s)", flush=True)


def read_cells(folder: Path) -> Cells:
    """All cells that ``folder`` holds."""
    cells = [Cell.model_validate_json(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return {(cell.row, cell.recipe): cell for cell in cells}


def shown() -> list[str]:
    """The recipes that the README shows."""
    return [name for name, way in RECIPES.items() if way.shown]


def table(cells: Cells, recipes: Sequence[str]) -> str:
    """The table of ``recipes`` as markdown, one line a row; the first of them is the temperature."""
    baseline, *others = recipes
    heads = [f"{RECIPES[name].title}: top-1 points, NLL" for name in others]
    lines = ["| network and images | held out | T alone: top-1, NLL | " + " | ".join(heads) + " |"]
    lines.append("|---|---|---|" + "---|" * len(others))
    for row in ROWS:
        start = cells.get((row.name, baseline))
        held_out = f"{start.n:,}" if start else ""
        changes = [_place(cells, row, name) for name in recipes]
        lines.append(f"| {' | '.join([str(row), held_out, *changes])} |")
    return "\n".join(lines)


def _place(cells: Cells, row: Row, name: str) -> str:
    cell = cells.get((row.name, name))
    if cell is None:
        return "not measured" if RECIPES[name].is_for(row) else ""
    return in_words(cell)


def in_words(cell: Cell) -> str:
    """What a cell says: T's scores, or the verdict and the changes against T with their intervals."""
    if cell.chosen is not None and cell.against_t is None:
        return f"no evidence: {'T alone' if cell.recommended == 'T' else 'nothing'} recommended"
    if cell.against_t is None:
        scores = cell.scores["T"]
        return f"{100 * scores['top1'].value:.1f} %, {number(scores['nll'].value, 3)}"
    top1, nll = (cell.against_t[metric] for metric in ("top1", "nll"))
    if not any((change.value, change.low, change.high) != (0, 0, 0) for change in (top1, nll)):
        return f"{cell.verdict}: nothing changed"
    verdict = cell.verdict if cell.verdict == "no evidence" else f"**{cell.verdict}**"
    by = f" by {cell.recommended}" if cell.recommended else ""
    return f"{verdict}{by}: {_change(top1, 100, 1)}, {_change(nll, 1, 3)}"


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
    parser.add_argument("--trials", type=Path, default=Path(tempfile.gettempdir()) / "afternorm-gains")
    parser.add_argument("--again", action="store_true", help="measure the chosen cells though their files are there")
    given = parser.parse_args()
    rows = list({row.name: row for pattern in given.rows for row in ROWS if fnmatch(row.name, pattern)}.values())
    if not rows:
        parser.error(f"no row is called {', '.join(given.rows)}; choose from {', '.join(row.name for row in ROWS)}")
    set_up_process(1)
    if SHARED.is_dir():
        measure(rows, given.recipes, FOLDER, SHARED, given.trials, again=given.again)
    else:
        print(f"nothing measured: needs the shared models and data, and {SHARED} is not there")
    cells = read_cells(FOLDER)
    README.write_text(with_table(README.read_text(encoding="utf-8"), table(cells, shown())), encoding="utf-8")
    print(table(cells, list(RECIPES)))


if __name__ == "__main__":
    main()
