"""How a comparison of ways of fine-tuning reads."""

from calibrate.page import format as fmt
from calibrate.page.section import Cell, Row, Section, Table
from calibrate.report.arm_weights import weights_sections
from calibrate.report.facts import model_name, software_words
from calibrate.report.page import Page
from calibrate.result import ArmResult, ComparedArms, ComparedMetric
from calibrate.values import METRICS

_METRICS: tuple[ComparedMetric, ...] = ("top1", "nll")


def compared_arms_page(result: ComparedArms) -> Page:
    """The page of a comparison: means and tests of all arms, and every single score."""
    data = result.data
    sizes = f"{fmt.count(data.training)} to train on, {fmt.count(data.validation)} to choose the epoch"
    return Page(
        title=f"{fmt.counted(len(result.arms), 'arm')} of fine-tuning {model_name(result.model)} on "
        f"{fmt.printable(data.source)}",
        heading=(
            ("model", f"{model_name(result.model)} ({fmt.counted(result.model.parameters, 'parameter')})"),
            ("data", f"{fmt.printable(data.source)} ({sizes}, in the baseline)"),
            ("test data", f"{fmt.printable(data.test_source)} ({fmt.counted(data.test, 'example')})"),
            ("classes", fmt.printable(f"{len(data.classes)}: {', '.join(data.classes[:10])}")),
            ("baseline", result.baseline),
            ("seeds", ", ".join(map(str, result.seeds))),
        ),
        sections=(_tests(result), _every(result), *weights_sections(result)),
        made=(
            *((f"recipe of {arm.name}", arm.recipe.canonical) for arm in result.arms),
            ("environment", software_words(result.environment)),
            ("time", f"{result.seconds:.0f} s for {fmt.counted(len(result.arms) * len(result.seeds), 'fine-tuning')}"),
            ("result digest", result.digest),
        ),
    )


def _tests(result: ComparedArms) -> Section:
    columns = tuple(heading for metric in _METRICS for heading in (METRICS[metric][0], _difference(metric), "p"))
    words = (
        f"Test scores, means and standard deviations over {fmt.counted(len(result.seeds), 'seed')}. In bold, or marked "
        f"*: better than {result.baseline} by a one-sided paired t-test at p < {result.level:g}.",
        "Differences are arm minus baseline, paired by seed; p is of being no better. It is not corrected for the "
        f"{fmt.counted(2 * (len(result.arms) - 1), 'test')} made here.",
    )
    return Section("Arms", words, Table(columns, tuple(_row(arm) for arm in result.arms)))


def _difference(metric: ComparedMetric) -> str:
    return f"{METRICS[metric][0].replace(' %', ' points')} − baseline"


def _row(arm: ArmResult) -> Row:
    cells: list[Cell] = []
    for metric in _METRICS:
        test = arm.tests.get(metric)
        strong = test is not None and test.significant
        cells.append(
            Cell(fmt.score(metric, arm.means[metric]), f"± {fmt.score(metric, arm.deviations[metric])}", strong)
        )
        cells += (
            [Cell("–"), Cell("–")] if test is None else [Cell(fmt.change(metric, test.mean)), Cell(f"{test.p:.3f}")]
        )
    return Row(arm.name, "baseline" if not arm.tests else "", tuple(cells))


def _every(result: ComparedArms) -> Section:
    columns = tuple(f"seed {number + 1}" for number in range(len(result.seeds)))
    rows = tuple(
        Row(f"{arm.name}: {METRICS[metric][0]}", "", tuple(Cell(fmt.score(metric, one)) for one in arm.scores[metric]))
        for metric in _METRICS
        for arm in result.arms
    )
    return Section("Every score", ("The test scores from each seed.",), Table(columns, rows))
