"""The facts of a run as ``(label, value)`` pairs."""

from calibrate.page import format as fmt
from calibrate.page.section import Fact
from calibrate.preprocessing import Preprocessing
from calibrate.result import Environment, Finding, ModelFacts, Summary, TrainingData
from calibrate.steps import Learned


def model_name(model: ModelFacts) -> str:
    """The architecture, with its arguments where it has some."""
    arguments = ", ".join(f"{name}={value!r}" for name, value in sorted(model.architecture_args.items()))
    return fmt.printable(f"{model.architecture}({arguments})" if arguments else model.architecture)


def title(summary: Summary) -> str:
    """Model and data."""
    return f"{model_name(summary.model)} on {fmt.printable(summary.data.source)}"


def heading_facts(summary: Summary) -> tuple[Fact, ...]:
    """What was tuned, on what, by which recipe."""
    model, data = summary.model, summary.data
    outputs = fmt.counted(model.outputs, "output") if model.outputs else "outputs that are no logits"
    size = f"{fmt.counted(model.parameters, 'parameter')}, {outputs}, {model.dtype}"
    split = f"{fmt.count(data.calibration)} to calibrate, {fmt.count(data.holdout)} held out"
    classes = fmt.counted(data.classes_present, "class", "classes")
    how = (
        f", {'' if data.stratified else 'not '}stratified; {classes} present" if data.classes_present else "; no labels"
    )
    return (
        ("model", f"{model_name(summary.model)} ({size})"),
        ("data", f"{fmt.printable(data.source)} (n = {fmt.count(data.n)}: {split}{how})"),
        *(("training data", f"{fmt.printable(item.source)} (n = {fmt.count(item.n)})") for item in _training(summary)),
        ("recipe", f"{summary.recipe.title} (seed {summary.recipe.seed})"),
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


def finding_facts(findings: tuple[Finding, ...]) -> tuple[Fact, ...]:
    """Each finding's severity, and its message with its code."""
    return tuple((item.severity, f"{fmt.printable(item.message)} ({fmt.printable(item.code)})") for item in findings)


def software_words(place: Environment) -> str:
    """Versions, and the machine."""
    versions = {"afternorm": place.afternorm, "Python": place.python, **place.versions}
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    return fmt.printable(f"{software}; {place.platform}, {place.device}, {fmt.counted(place.threads, 'thread')}")


def form_words(place: Environment) -> str:
    """How passes were made."""
    parts = [f"batch size {place.batch_size}"]
    parts += ["channels last"] * place.channels_last + ["BatchNorm folded"] * place.folds
    parts += [f"autocast to {place.autocast}"] if place.autocast else []
    return ", ".join(parts)


def preprocessing_words(shape: Preprocessing | None) -> str:
    """How inputs were made."""
    return "absent: the inputs are taken as they are" if shape is None else fmt.printable(shape.short)


def _learned(summary: Summary) -> str:
    return "; learning from an image counts as three" if summary.of(Learned) else ""


def environment_facts(summary: Summary) -> tuple[Fact, ...]:
    """How inputs were made, where the numbers were made, and how long that took."""
    place, timings = summary.environment, summary.timings
    seconds = ", ".join(f"{stage} {duration:.1f} s" for stage, duration in timings.seconds.items()) or "absent"
    passes = (
        f"{fmt.short(timings.passes)} passes, each of as many images as the calibration half has{_learned(summary)}"
    )
    return (
        ("preprocessing", preprocessing_words(summary.data.preprocessing)),
        ("environment", f"{software_words(place)}, {form_words(place)}"),
        ("timings", fmt.printable(f"{seconds}; {passes}")),
    )
