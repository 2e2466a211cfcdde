"""The facts of a run as ``(label, value)`` pairs, worded once for text and HTML."""

from calibrate.page import format as fmt
from calibrate.report.changed import alpha_words, temperature_words
from calibrate.report.learned import learned_words
from calibrate.result import Summary, TrainingData
from calibrate.steps import AlphaSearch, Kept, LabelFreeSearch, Measurement, Reestimation
from calibrate.steps.adaptation_words import described, stream_words
from calibrate.values import METRICS

Fact = tuple[str, str]
NO_FINDINGS = "None."
NO_SEARCH = "absent: this run did not search for α"
_WHICH = {"calibration": "calibration half", "training": "training data"}
_CRITERIA = {
    "entropy": "sure predictions, of all classes",
    "agreement": "answers that agree on two views of an image",
    "estimation_shift": "the estimation shift in the last layer",
}
_MADE = {"none": "", "flip_crop": "mirrored and shifted at random, "}


def model_name(summary: Summary) -> str:
    """The architecture, with its arguments where it has some."""
    model = summary.model
    arguments = ", ".join(f"{name}={value!r}" for name, value in sorted(model.architecture_args.items()))
    return fmt.printable(f"{model.architecture}({arguments})" if arguments else model.architecture)


def title(summary: Summary) -> str:
    """Model and data."""
    return f"{model_name(summary)} on {fmt.printable(summary.data.source)}"


def heading_facts(summary: Summary) -> tuple[Fact, ...]:
    """What was tuned, on what, by which recipe."""
    model, data = summary.model, summary.data
    size = f"{fmt.counted(model.parameters, 'parameter')}, {fmt.counted(model.outputs, 'output')}, {model.dtype}"
    split = f"{fmt.count(data.calibration)} to calibrate, {fmt.count(data.holdout)} held out"
    classes = fmt.counted(data.classes_present, "class", "classes")
    how = (
        f", {'' if data.stratified else 'not '}stratified; {classes} present" if data.classes_present else "; no labels"
    )
    return (
        ("model", f"{model_name(summary)} ({size})"),
        ("data", f"{fmt.printable(data.source)} (n = {fmt.count(data.n)}: {split}{how})"),
        *(("training data", f"{fmt.printable(item.source)} (n = {fmt.count(item.n)})") for item in _training(summary)),
        ("recipe", f"{', '.join(step.kind for step in summary.recipe.steps)} (seed {summary.recipe.seed})"),
    )


def _training(summary: Summary) -> tuple[TrainingData, ...]:
    return () if summary.data.training is None else (summary.data.training,)


def fingerprint_facts(summary: Summary) -> tuple[Fact, ...]:
    """The identities of recipe, weights, data and result."""
    return (
        ("recipe digest", summary.recipe_digest),
        ("weights", fmt.printable(summary.model.fingerprint)),
        ("examples", fmt.printable(summary.data.fingerprint)),
        *(("training examples", fmt.printable(item.fingerprint)) for item in _training(summary)),
        ("result digest", summary.digest),
    )


def measured_on(summary: Summary) -> str:
    """Which examples were measured, and in which domains, where not as they are; nothing where none were."""
    if summary.measurement is None:
        return ""
    domains = summary.leaderboard.domains if summary.leaderboard else ()
    shifted = f", {', '.join(domains)}" if domains else ""
    return f"the holdout half (n = {fmt.count(summary.measurement.n)}{shifted})"


def interval_words(measurement: Measurement) -> str:
    """What the brackets mean, and which way each metric is better."""
    up, down = (
        ", ".join(fmt.metric_name(metric) for metric, (_, more_is_better) in METRICS.items() if more_is_better is side)
        for side in (True, False)
    )
    resamples = fmt.count(measurement.resamples)
    return f"In brackets: 95 % intervals, bootstrap, {resamples} resamples. Higher is better: {up}. Lower: {down}."


def choice_facts(summary: Summary) -> tuple[Fact, ...]:
    """What was re-estimated and learned, where it was; the chosen α and T, with the reason for the choice."""
    searched = tuple(("without labels", label_free_words(item)) for item in summary.label_free)
    if summary.search is not None:
        searched += (("search", search_words(summary.search)),)
    renewed = tuple(("statistics", reestimation_words(item)) for item in summary.reestimations)
    adapted = tuple(("adapted", kept_words(item)) for item in summary.kept)
    learned = tuple(("learned", learned_words(item)) for item in summary.learned)
    return (
        *renewed,
        *adapted,
        *learned,
        ("α", alpha_words(summary.changes)),
        ("T", temperature_words(summary.changes)),
        *(searched or (("search", NO_SEARCH),)),
    )


def reestimation_words(item: Reestimation) -> str:
    """How many layers got new statistics from what, and how far these moved."""
    if not item.layers:
        return "re-estimated, but no example came to any of the layers"
    passes = f"{fmt.short(item.passes)} {'pass' if item.passes == 1 else 'passes'}"
    how = (
        f"{fmt.counted(len(item.layers), 'layer')} re-estimated on {fmt.counted(item.images, 'example')} of the "
        f"{_WHICH[item.on]}, {_MADE[item.augmentation]}without labels ({passes})"
    )
    furthest = max(item.layers, key=lambda layer: layer.mean)
    widest = max(item.layers, key=lambda layer: layer.log_variance)
    return (
        f"{how}; in the mean over channels, the running mean moved by up to {furthest.mean:.2f} standard deviations "
        f"({fmt.printable(furthest.name)}) and |log variance| by up to {widest.log_variance:.2f} "
        f"({fmt.printable(widest.name)})"
    )


def kept_words(item: Kept) -> str:
    """What was learned by which method from which stream, and is part of the network now."""
    if not item.learned:
        return f"by {described(item.method)}, which learns nothing from a stream"
    collapses = f", after {fmt.counted(item.collapses, 'collapse')} back to the source" if item.collapses else ""
    return (
        f"{fmt.counted(len(item.learned), 'tensor')} learned by {described(item.method)} from "
        f"{fmt.counted(item.images, 'example')} of the calibration half, without labels ({stream_words(item.stream)})"
        f"{collapses}{'; running statistics re-estimated on the same examples' if item.reestimated else ''}"
    )


def search_words(search: AlphaSearch) -> str:
    """What the search chose and why, and the optima it saw."""
    passes = f"{fmt.short(search.passes)} {'pass' if search.passes == 1 else 'passes'}"
    optima = f"lowest NLL after T at {fmt.short(search.best_by_nll)}, best top-1 at {fmt.short(search.best_by_top1)}"
    reason = fmt.printable(search.reason).rstrip(".")
    half = f"On the calibration half ({passes}{_curve_words(search)})"
    return f"chose α = {fmt.short(search.chosen)}: {reason}. {half}: {optima}."


def label_free_words(search: LabelFreeSearch) -> str:
    """What was chosen without labels, by what, and how sure that is."""
    passes = f"{fmt.short(search.passes)} {'pass' if search.passes == 1 else 'passes'}"
    reason = fmt.printable(search.reason).rstrip(".")
    return (
        f"chose α = {fmt.short(search.chosen)} by {_CRITERIA[search.criterion]}, on "
        f"{fmt.counted(search.n, 'example')} of the calibration half ({passes}), none of whose labels was used: "
        f"{reason}. Only a measurement with labels shows whether it helps."
    )


def _curve_words(search: AlphaSearch) -> str:
    """What the curve cost, and how well it is interpolated."""
    if search.curve_error is None:
        return ""
    cost = f", and {fmt.short(search.curve_passes)} for the curve"
    off = f"up to {search.curve_error:.2g} nats off where it was checked"
    if search.curve:
        return f"{cost}, whose interpolation was {off}"
    return f"{cost}, of which only true evaluations are shown: interpolated, it was {off}"


def finding_facts(summary: Summary) -> tuple[Fact, ...]:
    """Each finding's severity, and its message with its code."""
    return tuple(
        (item.severity, f"{fmt.printable(item.message)} ({fmt.printable(item.code)})") for item in summary.findings
    )


def environment_facts(summary: Summary) -> tuple[Fact, ...]:
    """How inputs were made, where the numbers were made, and how long that took."""
    place, timings = summary.environment, summary.timings
    versions = {"afternorm": place.afternorm, "Python": place.python, **place.versions}
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    machine = f"{place.platform}, {place.device}, {fmt.counted(place.threads, 'thread')}, batch size {place.batch_size}"
    seconds = ", ".join(f"{stage} {duration:.1f} s" for stage, duration in timings.seconds.items()) or "absent"
    learned = ", of which learning from an example counts three" if summary.learned else ""
    passes = f"{fmt.short(timings.passes)} forward passes over the calibration half{learned}"
    return (
        ("preprocessing", fmt.printable(str(summary.data.preprocessing or "absent: the inputs are taken as they are"))),
        ("environment", fmt.printable(f"{software}; {machine}")),
        ("timings", fmt.printable(f"{seconds}; {passes}")),
    )
