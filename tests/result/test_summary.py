"""The summary: it survives JSON, and its digest stands for the result alone."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from calibrate.result import Changes, LayerCondition, SiteSummary, Summary, Timings, TrainingData
from calibrate.steps import (
    AlphaSearch,
    ChangedTensor,
    ChannelHealth,
    CorruptionMean,
    Corruptions,
    CorruptionScores,
    EmptyArm,
    EstimationShift,
    InputShift,
    LayerShift,
    Learned,
    LearnedAlpha,
    LearningEpoch,
    Measurement,
    Moved,
    NoiseCurve,
    NoiseLevel,
    OutputBound,
    ProbeResult,
    Reestimation,
    StatisticNoise,
    Stream,
    StreamLearning,
    Tent,
    TopOneAndNll,
)
from calibrate.values import Estimate
from tests.samples import (
    changes,
    channel_health,
    input_fit,
    label_free,
    layers,
    leaderboard,
    measurement,
    outcomes,
    output_bound,
    search,
    serving,
    summary,
)

OUTSIDE = {"timings", "artifacts", "serving"}


def test_survives_json() -> None:
    value = SHORT
    again = Summary.model_validate_json(value.model_dump_json())
    assert again == value
    assert again.digest == value.digest
    assert again.model_dump_json() == value.model_dump_json()


def test_survives_json_with_nothing_done() -> None:
    value = summary().model_copy(update={"outcomes": (), "verdict": None, "artifacts": ()})
    assert Summary.model_validate(json.loads(value.model_dump_json())) == value


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every number, text, truth value and null in a JSON document."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, item in items for leaf in leaves(item, (*path, key))]
    return [path]


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2 or 0.25
    return value + 1 if isinstance(value, int) else f"{value}!"


SCORES = TopOneAndNll(top1=0.6, nll=1.25)
CHANGE = Estimate(value=0.01, low=-0.01, high=0.03)
#: A summary with every kind of leaf, and few of each.
SHORT = summary(
    input_fit=input_fit(),
    data=summary().data.model_copy(update={"training": TrainingData(source="train", fingerprint="sha256:56", n=8)}),
    outcomes=(
        Reestimation(images=9, passes=1.0, layers=(Moved(name="bn1", mean=0.1, log_variance=0.2),)),
        EstimationShift(
            tuned=False,
            images=9,
            input=InputShift(images=8, channels=3, mean=0.8, deviation=0.9),
            layers=(
                LayerShift(
                    name="bn1",
                    channels=2,
                    mean=0.3,
                    deviation=0.4,
                    mean_in_deviations=0.5,
                    deviation_in_deviations=0.6,
                    mean_by_chance=0.1,
                    deviation_by_chance=0.2,
                ),
            ),
            correlation_with_depth=0.7,
        ),
        Corruptions(
            tuned=True,
            images=9,
            arm="tuned+T",
            temperatures=(1.5, 1.25),
            resamples=100,
            scores=(CorruptionScores(corruption="fog", severity=3, original=SCORES, tuned=SCORES),),
            means=(
                CorruptionMean(corruption="all", original=SCORES, tuned=SCORES, top1_change=CHANGE, nll_change=CHANGE),
            ),
        ),
        output_bound(2),
        channel_health(2),
        StatisticNoise(
            tuned=False,
            images=9,
            chosen="first_of_blocks",
            granularity="channel",
            repetitions=5,
            top1=0.8,
            nll=0.7,
            curves=(
                NoiseCurve(
                    sites=("bn1",),
                    levels=(NoiseLevel(delta=0.1, top1=0.75, top1_sd=0.02, nll=0.8, nll_sd=0.03, broken=1),),
                ),
            ),
        ),
        StreamLearning(
            method=Tent(), stream=Stream(), images=9, learned=("bn1.weight",), reestimated=True, collapses=1
        ),
        LearnedAlpha(
            kind="learn_alpha",
            per="layer",
            learned_from=9,
            held_back=3,
            temperature=1.75,
            epochs=(
                LearningEpoch(learned_nll=None, held_back_nll=0.625),
                LearningEpoch(learned_nll=0.5, held_back_nll=0.5625),
            ),
            best=1,
            kept=1,
            gain=0.0625,
            standard_error=0.03125,
            reason="it helped",
            changed=(ChangedTensor(name="bn1.alpha", change=0.125),),
        ),
        label_free(),
        search(),
        leaderboard(guardrail=0.01, domains=("as they are", "fog"), recipe={"steps": [{"kind": "temperature"}]}),
        measurement(("original", "T", "alpha+T"), bins=2).model_copy(
            update={
                "changes": changes(2),
                "domains": ("fog",),
                "outputs": 10,
                "empty": (EmptyArm(arm="tuned", reason="NaN"),),
            }
        ),
    ),
    changes=Changes(
        sites=(
            SiteSummary(names=("bn1", "alias.bn1"), kind="BatchNorm2d", channels=2, alpha=(0.1, 0.2), note="1×1 maps"),
            SiteSummary(names=("ln",), kind="LayerNorm", channels=4, alpha=None),
        ),
        temperature=1.5,
        temperature_folded_into="fc",
    ),
    layers=layers(2),
    serving=(serving(),),
    sick=(
        LayerCondition(
            kind="mean-far",
            names=("bn1", "alias.bn1"),
            channels=2,
            affected=1,
            first=(1,),
            numbers={"deviations": 300.5},
            cure="Re-estimate it.",
            sick=True,
        ),
    ),
)
DOCUMENT = SHORT.model_dump(mode="json")
#: Leaves that may hold only a few values; each is exchanged for another of them.
CHOICES = {
    "": "statistics",
    "improved": "worse",
    "info": "warning",
    "warning": "info",
    "original": "T",
    "T": "original",
    "alpha": "alpha+T",
    "alpha+T": "alpha",
    "tuned+T": "alpha+T",
    "fog": "snow",
    "all": "clean",
    "bilinear": "bicubic",
    "rgb": "bgr",
    "entropy": "agreement",
    "fixed": "broken",
    "broken": "fixed",
    "first_of_blocks": "all",
    "channel": "layer",
    "layer": "channel",
    "calibration": "training",
    "shuffled": "class_sorted",
    "none": "flip_crop",
    "measured": "dropped",
    "not tried": "dropped",
    "worse": "no evidence",
}


#: Leaves that may hold one value only, or none that :func:`changed` would make.
FIXED = {"version", "kind", "channels", "format", "inputs", "arm", "baseline"}


def test_the_digest_covers_every_leaf_but_timings_and_files() -> None:
    digest, covered = SHORT.digest, set()
    for path in leaves(DOCUMENT):
        document = json.loads(json.dumps(DOCUMENT))
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        old = inner[path[-1]]
        inner[path[-1]] = "sick" if path[-1] == "only" else CHOICES[old] if old in CHOICES else changed(old)
        try:
            value = Summary.model_validate(document)
        except ValidationError:
            assert path[-1] in FIXED or old is None, path
            continue
        assert (value.digest == digest) == (path[0] in OUTSIDE), path
        covered.add(path[0])
    assert covered == set(Summary.model_fields) - {"version"}


@pytest.mark.parametrize(
    "less", [{"outcomes": outcomes(search=None)}, {"outcomes": outcomes(measurement=None)}, {"verdict": None}]
)
def test_the_digest_tells_what_was_left_undone(less: dict[str, Any]) -> None:
    value = summary()
    assert value.model_copy(update=less).digest != value.digest


def test_outcomes_are_found_by_their_class() -> None:
    assert [type(outcome) for outcome in SHORT.of(ProbeResult)] == [
        EstimationShift, Corruptions, OutputBound, ChannelHealth, StatisticNoise,
    ]  # fmt: skip
    assert SHORT.last(Measurement) is SHORT.measurement is SHORT.outcomes[-1]
    assert (summary(outcomes=()).last(Measurement), summary(outcomes=()).of(Learned)) == (None, ())
    twice = summary(outcomes=(search(), label_free(), search().model_copy(update={"chosen": 0.1})))
    assert [found.chosen for found in twice.of(AlphaSearch)] == [0.05, 0.1]
    assert twice.last(AlphaSearch) is twice.outcomes[-1]


def test_the_digest_ignores_timings_files_and_the_order_of_keys() -> None:
    value = summary()
    other = value.model_copy(update={"timings": Timings(seconds={}, passes=0), "artifacts": ()})
    assert other.digest == value.digest
    environment = value.environment.model_copy(update={"versions": dict(reversed(value.environment.versions.items()))})
    assert value.model_copy(update={"environment": environment}).digest == value.digest


def test_is_frozen_and_closed_throughout() -> None:
    value = summary()
    for part in (value, value.model, value.data, value.changes, value.changes.sites[0], value.measurement):
        field = next(iter(type(part).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, field, getattr(part, field))
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            type(part).model_validate({**part.model_dump(), "surprise": 1})


def test_arms_and_differences_are_found_by_name() -> None:
    value = measurement()
    for scores in value.arms:
        assert value.arm(scores.arm) is scores
    for difference in value.differences:
        assert value.difference(difference.arm, difference.baseline) is difference
