"""Retrofit: a recipe carried out on a copy of a trained network."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibrate.data import (
    CacheBudget,
    DataLike,
    Source,
    Split,
    cached,
    open_data,
    require_corruptions,
    split,
    split_unlabelled,
)
from calibrate.engine.handler import Given
from calibrate.engine.health import explained, network_health
from calibrate.engine.inputs.fit import find_input_fit, input_findings
from calibrate.engine.inputs.reference import make_reference
from calibrate.engine.inputs.stored_examples import preparation_of
from calibrate.engine.opening.checkpoint import model_facts
from calibrate.engine.opening.machine import environment, find_device
from calibrate.engine.opening.outputs import LOOKED_AT, check_output, logits_of_probabilities_
from calibrate.engine.opening.training_data import check_inputs, open_training
from calibrate.engine.passes.prediction import input_dtype
from calibrate.engine.passes.setting import Setting, check_batch_size, settle_form_
from calibrate.engine.run import NetworkState, Notes, Run
from calibrate.engine.steps.table import HANDLERS
from calibrate.engine.trials.store import Trials
from calibrate.errors import ModelError, NonFiniteError, UsageError, require_kind
from calibrate.io import check_state_dict
from calibrate.nn import ExampleWeighed
from calibrate.recipe import STEP_KINDS, Preprocessing, Recipe, as_preprocessing, as_recipe
from calibrate.result import (
    Changes,
    Data,
    Finding,
    LayerCondition,
    Listener,
    ShiftReference,
    SiteSummary,
    Summary,
    Timings,
    TrainingData,
    condition_findings,
    silent,
)
from calibrate.steps import InputFit, StepValue
from calibrate.surgery import (
    BESIDE_BATCH_NORM,
    Look,
    Site,
    copied,
    divide_logits_,
    find_sites,
    layer_statistics,
    look,
    needs_moments,
    passed_over,
    share_weights,
)
from calibrate.values import Autocast

#: How many holdout examples are kept for proving exported files.
KEPT_EXAMPLES = 64

NO_LABELS = Finding(
    code="no-labels",
    severity="warning",
    message="the data have no labels, so that quick chose λ by the mutual information of image and prediction, and "
    "there is no verdict: whether the network is right more often cannot be known without labels. Some hundred "
    "labelled examples of the same kind would tell: give them, or measure the tuned network with "
    "`afternorm evaluate`.",
)


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The tuned network, the summary of how it came about, and some holdout inputs (n, C, *) to prove files with.

    ``thumbnails`` are small PNG files of the examples that the summary lists as changed, by their index in the data;
    they are kept out of the summary, which stays small, and go into the HTML report alone. ``graphs`` are networks of a
    leaderboard, one for each graph that does not fold, to time. ``reference`` makes the reference of a later shift, of
    the holdout half, in one pass.
    """

    model: nn.Module
    summary: Summary
    examples: Tensor
    class_names: tuple[str, ...] | None
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    graphs: Mapping[str, nn.Module] = field(default_factory=dict)
    reference: Callable[[], ShiftReference] | None = None

    def save(self, folder: str | Path, *, formats: Sequence[str] = ("safetensors", "onnx")) -> tuple[Path, ...]:
        """Write the tuned network in ``formats``, the summary and the reports into ``folder``; the paths written.

        Raises UsageError where that cannot be, ExportError where a file does not compute what the network does.
        """
        from calibrate.engine.delivery.files import save

        return save(self, Path(folder), formats)

    def __repr__(self) -> str:
        """The verdict, with its reasons."""
        summary = self.summary
        verdict = summary.verdict or "none: nothing was compared with the temperature alone"
        reasons = "".join(f"\n  {reason}" for reason in summary.reasons)
        repair = " (a repair)" if summary.is_repair else ""
        return f"<Outcome of {summary.recipe.title}; verdict: {verdict}{repair}{reasons}>"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A checked request, before anything expensive, and what the reader should know of how it was taken."""

    recipe: Recipe
    given: Given
    findings: tuple[Finding, ...] = ()


def retrofit(
    model: nn.Module,
    recipe: Recipe | StepValue | Mapping[str, Any] | Sequence[Any] | str | Path,
    *,
    data: DataLike,
    training: DataLike | None = None,
    preprocessing: Preprocessing | Mapping[str, Any] | str | None = None,
    classes: Sequence[str] | None = None,
    architecture: str = "",
    architecture_args: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    progress: Listener = silent,
) -> Outcome:
    """Carry out ``recipe`` on a copy of ``model``: choose on one half of ``data``, prove on the other.

    ``recipe`` is a preset's name, a list of steps, a mapping as in a recipe file, the
    path of one, or a :class:`~calibrate.Recipe`.
    ``data`` is a path (directory or zip of class folders, ``.npz``), an iterable of ``(x, y)`` that can be iterated
    again, or a :class:`~calibrate.data.Source`; ``classes`` names the model's classes in order where the data hold only
    some of them. ``training`` are examples of what the network was trained on, for the steps that use them, which look
    at no labels of theirs. ``architecture`` and its arguments are recorded, so that the tuned file can be opened by
    name. ``batch_size`` is the number of examples in a forward pass; without it, as many as keep its largest tensor
    small, 64 at most. ``model`` itself is never changed.

    Raises ModelError, DataError, UsageError or UnsafeInputError, each saying what to do.

    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 2)).eval()
    >>> examples = [(torch.full((1, 8, 8), float(i % 2)), i % 2) for i in range(20)]
    >>> outcome = retrofit(network, [{"kind": "set_alpha", "alpha": 0.1}], data=examples)
    >>> [site.alpha for site in outcome.summary.changes.sites]
    [0.1]
    """
    require_kind(architecture, str, "architecture", "a name such as torchvision/resnet50")
    require_kind(architecture_args, (Mapping, type(None)), "architecture_args", "a mapping of keyword arguments")
    checked = plan(
        model,
        as_recipe(recipe),
        data=data,
        training=training,
        preprocessing=as_preprocessing(preprocessing),
        classes=classes,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    return carry_out(model, checked, architecture, architecture_args or {})


def plan(
    model: nn.Module,
    recipe: Recipe,
    *,
    data: DataLike,
    training: DataLike | None = None,
    preprocessing: Preprocessing | None,
    classes: Sequence[str] | None,
    batch_size: int | None,
    device: str,
    progress: Listener,
    autocast: Autocast | None = None,
    halves: Callable[[int], Split] | None = None,
    trials: Trials | None = None,
    reference: ShiftReference | None = None,
) -> Plan:
    """Check everything that can be checked before the first full pass; the arguments are :func:`retrofit`'s.

    ``halves`` makes two of so many examples in another way than at random. What ``trials`` recalls of the passes is not
    made again, nor chosen anew. ``reference`` is what the data may have shifted from.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"the model is {type(model).__name__}, and a torch.nn.Module is wanted; a checkpoint's is "
            "`calibrate.open_model(path, architecture).model`."
        )
    if classes is not None and (
        isinstance(classes, str)
        or not isinstance(classes, Sequence)
        or not all(isinstance(name, str) for name in classes)
    ):
        raise UsageError(f"classes is {classes!r:.80}; give the names of the model's classes, in order.")
    check_batch_size(batch_size)
    if any(step.corrupts for step in recipe.steps):
        require_corruptions()
    place = find_device(device)
    budget = CacheBudget()
    source: Source = cached(open_data(data, preprocessing=preprocessing, classes=classes), budget)
    findings: tuple[Finding, ...] = ()
    if source.labels is None and recipe.without_labels != recipe:
        recipe, findings = recipe.without_labels, (NO_LABELS,)
    check_labels(source, recipe)
    for step in recipe.steps:
        HANDLERS[type(step)].check_network(step, model)
    parts = _halves(source, recipe.seed) if halves is None else halves(len(source))
    opened = open_training(training, recipe, preprocessing)
    opened = opened and cached(opened, budget)
    first = first_examples(source, input_dtype(model), parts.holdout[:2]).to(place)
    check_state_dict(model)
    original = copied(model).to(place)
    seen = look(original, find_sites(original), first)
    findings += check_output(seen, recipe)
    if any(step.needs_logits for step in recipe.steps) and seen.may_be_probabilities:
        looked_at = first_examples(source, input_dtype(model), parts.holdout[:LOOKED_AT]).to(place)
        findings += logits_of_probabilities_(original, looked_at)
    setting = Setting(
        settle_form_(original, source, first, place, batch_size, trials), place, progress, batch_size, autocast
    )
    if seen.is_classifier:
        source.check_outputs(seen.outputs)
    if opened is not None:
        check_inputs(opened, first)
    health = network_health(original, source, parts.calibration, setting, seen)
    given = Given(original, source, parts, opened, recipe.seed, seen, first, setting, HANDLERS, health, trials)
    given = replace(given, reference=reference)
    trial = share_weights(original)
    for step in recipe.steps:
        trial = HANDLERS[type(step)].check_data(step, given, trial)
    fit = find_input_fit(original, source, parts.calibration, setting, recipe.seed, training=opened)
    better = fit.better_fit if isinstance(fit, InputFit) else None
    if preprocessing is not None and preprocessing.auto and better is not None:
        fit, taken = fit.model_copy(update={"taken": True}), preparation_of(better)
        source = source.prepared_by(taken)
        opened = opened and opened.prepared_by(taken)
        first = first_examples(source, input_dtype(model), parts.holdout[:2]).to(setting.device)
        health = network_health(original, source, parts.calibration, setting, seen)
    given = replace(given, source=source, training=opened, first=first, health=health, input_fit=fit)
    return Plan(recipe, given, findings)


def carry_out(
    model: nn.Module,
    plan: Plan,
    architecture: str,
    architecture_args: Mapping[str, Any],
) -> Outcome:
    """Carry out a checked plan on a copy of ``model``."""
    given = plan.given
    source, split, training, setting = given.source, given.split, given.training, given.setting
    fit = given.input_fit
    found = (*source.findings, *split.findings, *(training.findings if training is not None else ()))
    found = (*plan.findings, *_health_findings(given.health, plan.recipe), *found)
    found += input_findings(fit) if isinstance(fit, InputFit) else ()
    run = Run(given, NetworkState(share_weights(given.original)), Notes(findings=found))
    seconds: dict[str, float] = {}
    for number, step in enumerate(plan.recipe.steps):
        start = time.perf_counter()
        try:
            HANDLERS[type(step)].run(run, step)
        except NonFiniteError as error:
            raise explained(error, run.state.model, given.original, given.look) from None
        seconds[f"{number}.{step.kind}"] = time.perf_counter() - start
    examples = first_examples(source, input_dtype(model), split.holdout)
    tuned, temperature, notes = copied(run.state.model), run.state.temperature, run.notes  # it shares no weights now
    folded_into = None
    if temperature != 1:
        folded_into = divide_logits_(tuned, temperature, examples[:2].to(setting.device))
    for obstacle, names in skipped(find_sites(tuned), notes.steps or plan.recipe.steps, given.look).items():
        which = f"{len(names)} layers, {names[0]} to {names[-1]}, were" if names[1:] else f"the layer {names[0]} was"
        run.add_finding_("site-skipped", f"{which} left as {'they are' if names[1:] else 'it is'}: {obstacle}.")
    summary = Summary(
        recipe=plan.recipe,
        recipe_digest=plan.recipe.digest,
        model=model_facts(model, given.look.outputs, architecture, architecture_args),
        data=Data(
            source=source.name,
            fingerprint=source.fingerprint,
            n=len(source),
            calibration=len(split.calibration),
            holdout=len(split.holdout),
            classes_present=0 if source.labels is None else len(np.unique(source.labels)),
            stratified=split.stratified,
            preprocessing=source.preparation,
            training=_training(training),
        ),
        changes=Changes(sites=describe_sites(tuned), temperature=temperature, temperature_folded_into=folded_into),
        outcomes=notes.outcomes,
        verdict=notes.verdict,
        reasons=notes.reasons,
        findings=notes.findings,
        environment=environment(setting),
        timings=Timings(seconds=seconds, passes=notes.forwards / len(split.calibration)),
        layers=layer_statistics(find_sites(tuned), given.look.positions),
        input_fit=fit,
        sick=tuple(item for item in given.health if item.sick),
    )
    changes = None if summary.measurement is None else summary.measurement.changes
    changed = [example.index for example in changes.examples] if changes else []
    home = next(model.parameters(), examples).device
    thumbnails = (notes.measured or source).thumbnails(changed)
    tuned = tuned.to(home)
    reference = partial(make_reference, tuned, source, split.holdout, setting, given.seed)
    return Outcome(tuned, summary, examples, source.class_names, thumbnails, notes.graphs, reference)


def _health_findings(health: Sequence[LayerCondition], recipe: Recipe) -> tuple[Finding, ...]:
    """What a reader should know of the network's statistics; of repeated calls only where ``recipe`` changes layers."""
    matters = any(step.changes_normalization for step in recipe.steps)
    return condition_findings(item for item in health if matters or item.kind != "layer-repeated")


def _halves(source: Source, seed: int) -> Split:
    return split_unlabelled(len(source), seed) if source.labels is None else split(source.labels, seed)


def describe_sites(model: nn.Module) -> tuple[SiteSummary, ...]:
    """The normalisation layers of ``model`` as they go into a summary."""
    return tuple(
        SiteSummary(
            names=site.names,
            kind=type(site.module).__name__,
            channels=site.channels,
            alpha=_shortest(site.module.alpha) if isinstance(site.module, ExampleWeighed) else None,
            note=site.obstacle,
        )
        for site in find_sites(model)
    )


def _training(training: Source | None) -> TrainingData | None:
    if training is None:
        return None
    return TrainingData(source=training.name, fingerprint=training.fingerprint, n=len(training))


def _shortest(alpha: Tensor) -> float | tuple[float, ...]:
    """α as the shortest decimals that round to its stored value: 0.05, where float32 holds 0.0500000007."""
    numbers = [float(str(value)) for value in alpha.cpu().numpy().ravel()]
    return tuple(numbers) if alpha.dim() else numbers[0]


def first_examples(source: Source, dtype: torch.dtype, indices: NDArray[np.int64] | None = None) -> Tensor:
    """The inputs of the first ``KEPT_EXAMPLES`` of the examples ``indices``, or of all."""
    chosen = (np.arange(len(source)) if indices is None else indices)[:KEPT_EXAMPLES]
    return torch.cat([batch.inputs for batch in source.batches(chosen, len(chosen))]).to(dtype)


def skipped(sites: Sequence[Site], steps: Sequence[StepValue], seen: Look) -> Mapping[str, Sequence[str]]:
    """The names of the ``sites`` of a tuned network that ``steps`` could not weigh, by the reason."""
    names: dict[str, list[str]] = {}
    for site in sites:
        if site.obstacle:
            names.setdefault(site.obstacle, []).append(site.name)
    chosen = [getattr(step, "sites", ()) for step in steps if step.weighs_examples]
    beside = {
        site
        for patterns in chosen
        for site in passed_over(sites, patterns, seen.positions)
        if needs_moments(site.module)
    }
    if beside:
        names[BESIDE_BATCH_NORM] = [site.name for site in sites if site in beside]
    return names


def check_labels(source: Source, recipe: Recipe) -> None:
    """Raise UsageError where ``source`` has no labels and a step of ``recipe`` needs them."""
    needing = [step.kind for step in recipe.steps if step.needs_labels]
    if source.labels is not None or not needing:
        return
    if rest := tuple(step for step in recipe.steps if not step.needs_labels):
        other = (
            f"the recipe without {'them' if needing[1:] else 'it'}, {Recipe(seed=recipe.seed, steps=rest).canonical}"
        )
    else:
        other = f"a recipe of steps that need none: {', '.join(k for k, s in STEP_KINDS.items() if not s.needs_labels)}"
    raise UsageError(
        f"{source.name} has no labels, and the {'steps' if needing[1:] else 'step'} {', '.join(needing)} cannot do "
        f"without; give labelled data, or {other}."
    )
