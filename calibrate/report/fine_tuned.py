"""How a fine-tuning reads."""

from calibrate.page import format as fmt
from calibrate.page.section import ABSENT, Cell, Fact, Row, Section, Table
from calibrate.report.facts import finding_facts, model_name, software_words
from calibrate.report.fine_tuning_figures import course, weights
from calibrate.report.page import Page
from calibrate.result import FineTuned
from calibrate.result.finetuned import Epoch
from calibrate.steps import differences_table, empty_words, interval_words, scores_table


def fine_tuned_page(result: FineTuned) -> Page:
    """The page of one fine-tuning: its test scores, its course and, where they were kept, its weights."""
    return Page(
        title=f"fine-tuning of {model_name(result.model)} on {fmt.printable(result.data.source)}",
        heading=_heading(result),
        sections=(_scores(result), *_differences(result), _course(result), *_weights(result)),
        made=(*finding_facts(result.findings), *_made(result)),
    )


def _heading(result: FineTuned) -> tuple[Fact, ...]:
    data, recipe = result.data, result.recipe
    sizes = f"{fmt.count(data.training)} to train on, {fmt.count(data.validation)} to choose the epoch"
    layers = ", ".join(getattr(step, "layer", step.kind) for step in recipe.layers) or "as they were"
    phases = "; then ".join(
        f"{fmt.counted(phase.epochs, 'epoch')} of {phase.trainable.replace('_', ' ')} at {phase.lr:g}"
        for phase in recipe.phases
    )
    return (
        ("model", f"{model_name(result.model)} ({fmt.counted(result.model.parameters, 'parameter')})"),
        ("data", f"{fmt.printable(data.source)} ({sizes})"),
        ("test data", f"{fmt.printable(data.test_source)} ({fmt.counted(data.test, 'example')})"),
        ("classes", fmt.printable(f"{len(data.classes)}: {', '.join(data.classes[:10])}{_more(data.classes)}")),
        ("head", f"{result.head}, {'fresh' if result.head_is_fresh else 'kept'}"),
        ("layers", fmt.printable(layers)),
        ("phases", f"{phases} ({recipe.schedule.replace('_', ' ')}, {recipe.optimizer.kind})"),
        ("penalties", ", ".join(penalty.kind for penalty in recipe.penalties) or "none"),
        ("seed", str(recipe.seed)),
    )


def _more(classes: tuple[str, ...]) -> str:
    return ", …" if len(classes) > 10 else ""


def _scores(result: FineTuned) -> Section:
    measurement = result.measurement
    chosen = f"epoch {result.best + 1} of {len(result.epochs)}"
    why = "the best on the validation split" if result.data.validation else "the last"
    return Section(
        f"Scores on {fmt.counted(measurement.n, 'test example')}",
        (
            f"Of the network after {chosen}, {why}.",
            interval_words(measurement.resamples),
            *empty_words(measurement.empty),
        ),
        scores_table(measurement.arms, measurement.empty),
    )


def _differences(result: FineTuned) -> tuple[Section, ...]:
    if not result.measurement.differences:
        return ()
    words = "Fine-tuned minus original."
    return (Section("Differences on the same examples", (words,), differences_table(result.measurement.differences)),)


def _course(result: FineTuned) -> Section:
    columns = ("phase", "rate", "loss", "penalty in it", "top-1 %", "NLL")
    rows = tuple(
        Row(str(number + 1), "kept" if number == result.best else "", _epoch(epoch, number == result.best))
        for number, epoch in enumerate(result.epochs)
    )
    words = (
        "Mean loss of each epoch in training, and the scores of the validation split.",
        "The rate is that of the first parameters at the end of the epoch: the backbone's, or the head's "
        "where it learns alone.",
    )
    return Section("Course", words, Table(columns, rows), course(result))


def _epoch(epoch: Epoch, kept: bool) -> tuple[Cell, ...]:
    return (
        Cell(str(epoch.phase + 1)),
        Cell(fmt.short(epoch.lr)),
        Cell(f"{epoch.loss:.4f}"),
        Cell(f"{epoch.penalty:.4f}"),
        Cell(ABSENT if epoch.top1 is None else fmt.score("top1", epoch.top1), strong=kept),
        Cell(ABSENT if epoch.nll is None else fmt.score("nll", epoch.nll), strong=kept),
    )


def _weights(result: FineTuned) -> tuple[Section, ...]:
    if not result.histograms:
        return ()

    rows = tuple(
        Row(
            fmt.printable(layer.name),
            "",
            (
                Cell(f"{layer.variances[0]:.3e}"),
                Cell(f"{layer.variances[-1]:.3e}"),
                Cell(f"{max(layer.variance_differences, key=abs):+.3e}"),
            ),
        )
        for layer in result.histograms
    )
    words = (
        f"The weights of each layer at the start and after each {result.recipe.histograms}.",
        "Variances of the weights. The largest difference is between a record and the next.",
    )
    return (
        Section("Weights", words, Table(("variance before", "after", "largest difference"), rows), weights(result)),
    )


def _made(result: FineTuned) -> tuple[Fact, ...]:
    return (
        ("preprocessing", fmt.printable(str(result.data.preprocessing or "absent: the inputs are taken as they are"))),
        ("environment", software_words(result.environment)),
        ("time", f"{result.seconds:.1f} s"),
        ("recipe", result.recipe.canonical),
        ("recipe digest", result.recipe_digest),
        ("weights", f"{result.model.fingerprint} before, {result.fingerprint} after"),
        ("examples", f"{result.data.fingerprint}, test {result.data.test_fingerprint}"),
        ("result digest", result.digest),
    )
