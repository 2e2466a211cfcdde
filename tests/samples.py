"""Summaries as runs make them, built without running anything."""

import json
from typing import Any

from calibrate.recipe import PRESETS, Preprocessing
from calibrate.report import BatchComparison, Compared
from calibrate.result import (
    Artifact,
    Changes,
    Data,
    Environment,
    Finding,
    Latency,
    LayerStatistics,
    ModelFacts,
    Parity,
    Serving,
    SiteSummary,
    Summary,
    Timings,
    TrainingData,
)
from calibrate.steps import (
    CORRUPTION_SETS,
    DRIFT_BINS,
    IEW,
    LAME,
    SAR,
    SGD,
    Adaptation,
    AlphaSearch,
    Arm,
    Bin,
    BNAlpha,
    ChangedExample,
    ChangedTensor,
    ChannelHealth,
    ClassChange,
    CorruptionMean,
    Corruptions,
    CorruptionScores,
    CurvePoint,
    Difference,
    Domain,
    EstimationShift,
    FieldShift,
    GradientFactor,
    HoldoutScores,
    InputFit,
    InputShift,
    LabelFreePoint,
    LabelFreeSearch,
    LayerBound,
    LayerHealth,
    LayerShift,
    Leaderboard,
    LeaderboardRow,
    Learned,
    LearnedAlpha,
    LearningEpoch,
    Measurement,
    MethodScores,
    Moved,
    NoiseCurve,
    NoiseLevel,
    NotApplicable,
    OutputBound,
    Prediction,
    PredictionChanges,
    PreparationFit,
    PreparationScores,
    Reestimation,
    Rung,
    Scores,
    ShiftedLayer,
    StatisticNoise,
    StepResult,
    Stream,
    StreamDiagnosis,
    StreamLearning,
    StreamMeasures,
    StreamScores,
    StreamWarning,
    Tent,
    TopOneAndNll,
    TunedAffine,
    judge,
)
from calibrate.values import METRICS, Estimate, Metric

ALPHAS = (0.0, 0.005, 0.01, 0.025, 0.05, 0.0625, 0.075, 0.1, 0.2, 0.35, 0.5)
LEVELS: dict[Arm, tuple[float, ...]] = {
    "original": (0.76134, 0.92862, 0.96183, 0.03714, 0.33991),
    "T": (0.76134, 0.92862, 0.93927, 0.01836, 0.33667),
    "alpha": (0.76311, 0.92971, 0.94018, 0.02711, 0.33542),
    "alpha+T": (0.76311, 0.92971, 0.92385, 0.01629, 0.33306),
}
HALF_WIDTHS = (0.00827, 0.00501, 0.03613, 0.00532, 0.01087)


def estimates(values: tuple[float, ...], half_widths: tuple[float, ...]) -> dict[Metric, Estimate]:
    return {
        metric: Estimate(value=value, low=value - half, high=value + half)
        for metric, value, half in zip(METRICS, values, half_widths, strict=True)
    }


def scores(arm: Arm) -> Scores:
    return Scores(
        arm=arm,
        alpha=arm.startswith("alpha"),
        temperature=1.1873 if arm == "T" else 1.1514 if arm == "alpha+T" else 1.0,
        metrics=estimates(LEVELS[arm], HALF_WIDTHS),
    )


def difference(arm: Arm, baseline: Arm) -> Difference:
    gaps = tuple(one - other for one, other in zip(LEVELS[arm], LEVELS[baseline], strict=True))
    return Difference(
        arm=arm, baseline=baseline, metrics=estimates(gaps, (0.00317, 0.00211, 0.00518, 0.00293, 0.00219))
    )


def confidence_bins(softness: float, count: int) -> tuple[Bin, ...]:
    made = []
    for index in range(count):
        low, high = index / count, (index + 1) / count
        middle = (low + high) / 2
        accuracy = middle**softness if index else 0.0
        made.append(
            Bin(low=low, high=high, count=int(9000 * middle**3) * (index > 0), confidence=middle, accuracy=accuracy)
        )
    return tuple(made)


def measurement(arms: tuple[Arm, ...] = ("original", "T", "alpha", "alpha+T"), bins: int = 15) -> Measurement:
    """The arms and their differences; and the predictions that changed, where the tuned network is among the arms."""
    pairs: tuple[tuple[Arm, Arm], ...] = (
        ("T", "original"),
        ("alpha", "original"),
        ("alpha+T", "original"),
        ("alpha+T", "T"),
    )
    return Measurement(
        n=25000,
        resamples=2000,
        arms=tuple(scores(arm) for arm in arms),
        differences=tuple(difference(*pair) for pair in pairs if set(pair) <= set(arms)),
        reliability={arm: confidence_bins(1.3 if arm in ("original", "alpha") else 1.05, bins) for arm in arms},
        outputs=1000,
        changes=changes() if {"T", "alpha+T"} <= set(arms) else None,
    )


def search() -> AlphaSearch:
    points = tuple(
        CurvePoint(
            alpha=alpha,
            temperature=1.19 - 0.5 * alpha,
            nll=0.9401 + 0.6 * (alpha - 0.075) ** 2,
            nll_after_temperature=0.9238 + 0.9 * (alpha - 0.05) ** 2,
            top1=0.7634 - 0.2 * (alpha - 0.025) ** 2,
        )
        for alpha in ALPHAS
    )
    return AlphaSearch(
        points=points,
        chosen=0.05,
        best_by_nll=0.05,
        best_by_top1=0.025,
        standard_error=0.00213,
        reason="it beats α = 0 by 0.0154 nats, 7.2 standard errors",
        passes=len(points),
    )


def label_free(**changed: Any) -> LabelFreeSearch:
    """A choice of α without labels, on a thousand examples."""
    fields: dict[str, Any] = {
        "criterion": "entropy",
        "points": tuple(
            LabelFreePoint(alpha=alpha, value=value, low=value - alpha / 8, high=value + alpha / 8)
            for alpha, value in ((0.0, -2.0), (0.03125, -2.0625), (0.125, -2.125), (0.5, -1.75))
        ),
        "chosen": 0.125,
        "best": 0.125,
        "gain": 0.125,
        "standard_error": 0.03125,
        "reason": "α = 0.125 lowered the criterion by 0.1250, with a standard error of 0.0312 "
        "(more than 1 of them required)",
        "n": 1000,
        "passes": 4.5,
    }
    return LabelFreeSearch(**{**fields, **changed})


def sites(count: int = 53, alpha: float | tuple[float, ...] | None = 0.05) -> tuple[SiteSummary, ...]:
    return tuple(
        SiteSummary(names=(f"layer{index // 13 + 1}.{index % 13}.bn",), kind="BatchNorm2d", channels=64, alpha=alpha)
        for index in range(count)
    )


def artifacts() -> tuple[Artifact, ...]:
    return (
        Artifact(
            name="tuned.safetensors",
            format="safetensors",
            bytes=102_442_450,
            sha256="ab" * 32,
            parity=(Parity(batch_size=1, relative_error=0.0, inputs="data"),),
        ),
        Artifact(
            name="tuned.onnx",
            format="onnx",
            bytes=102_177_112,
            sha256="cd" * 32,
            parity=(
                Parity(batch_size=1, relative_error=3.14e-7, inputs="data"),
                Parity(batch_size=7, relative_error=4.25e-7, inputs="noise"),
            ),
            latency=(
                Latency(
                    batch_size=1,
                    tuned_ms=21.375,
                    original_ms=19.842,
                    ratio=1.0773,
                    ratio_low=1.0612,
                    ratio_high=1.0931,
                    runs=30,
                    threads=4,
                ),
            ),
        ),
    )


def layers(count: int = 53) -> tuple[LayerStatistics, ...]:
    return tuple(
        LayerStatistics(
            name=site.names[0],
            channels=site.channels,
            positions=3136 >> place // 13,
            mean_offset=0.31 + 0.01 * place,
            variance_min=0.002 if place else 3e-9,
            variance_median=0.4 + 0.01 * place,
            variance_max=17.25,
            dead=0.0 if place else 0.125,
            gamma_mean=0.71,
            gamma_drift=0.314 if place else None,
            beta_drift=0.127,
            alpha=0.05 if place else None,
        )
        for place, site in enumerate(sites(count))
    )


def output_bound(count: int = 19) -> OutputBound:
    return OutputBound(
        tuned=False,
        images=250,
        train_batch_size=8,
        training_images=248,
        layers=tuple(
            LayerBound(
                name=f"bn{place}",
                channels=16,
                elements=8 * 4 ** (count - place),
                bound=(8 * 4 ** (count - place) - 1) ** 0.5,
                training=(-2.25 - place, 2.5),
                inference=(-3.25, 4.5 + place),
                outside=0.125 if place == count - 1 else 0.0,
                channels_outside=3 if place == count - 1 else 0,
                sufficient_batch=21 + place,
            )
            for place in range(count)
        ),
        left_out=("frozen",),
    )


def channel_health(count: int = 19) -> ChannelHealth:
    return ChannelHealth(
        tuned=True,
        images=250,
        layers=tuple(
            LayerHealth(
                name=f"bn{place}",
                channels=16,
                dead=1,
                silent=2,
                pruned=3,
                exploding=4,
                far_out=0.015625,
                furthest=12.75 + place,
                gamma_drift=(10, 6, *(0,) * (len(DRIFT_BINS) - 2)),
                beta_drift=(0, 9, 7, *(0,) * (len(DRIFT_BINS) - 3)),
                gradient_factor=GradientFactor(lowest=0.0625, median=0.5, mean=0.75, highest=2.0 + place),
            )
            for place in range(count)
        ),
        left_out=("frozen",),
    )


def changed_example(index: int, **changed: Any) -> ChangedExample:
    fields = {
        "index": index,
        "entry": f"'tench/{index}.JPEG' in /data/imagenet/val",
        "label": 0,
        "name": "tench",
        "direction": "fixed",
        "before": Prediction(label=391, name="coho", confidence=0.514),
        "after": Prediction(label=0, name="tench", confidence=0.713),
    }
    return ChangedExample(**{**fields, **changed})


def class_change(label: int, fixed: int = 2, broken: int = 1, **changed: Any) -> ClassChange:
    fields = {"label": label, "name": f"class-{label}", "n": 25, "before": 18, "after": 18 + fixed - broken}
    return ClassChange(**{**fields, "fixed": fixed, "broken": broken, "low": -0.11, "high": 0.19, **changed})


def changes(classes: int = 12, **changed: Any) -> PredictionChanges:
    fields = {
        "n": 25000,
        "fixed": 204,
        "broken": 160,
        "other": 77,
        "p": 0.0243,
        "classes": tuple(class_change(label) for label in range(classes)),
        "examples": (changed_example(7), changed_example(9, direction="broken", name=None)),
    }
    return PredictionChanges(**{**fields, **changed})


def holdout_scores(**changed: Any) -> HoldoutScores:
    """What a leaderboard says of a candidate that was measured."""
    whole = difference("alpha+T", "T").metrics
    fields: dict[str, Any] = {
        "temperature": 1.25,
        "graph": "folded",
        "folds": True,
        "metrics": scores("alpha+T").metrics,
        "against_original": whole,
        "against_t": whole,
        "holm": {"nll": 0.0123, "top1": 0.4567},
        "detectable": {"nll": 0.0111, "top1": 0.0222},
        "verdict": "improved",
    }
    return HoldoutScores(**{**fields, **changed})


def leaderboard(**changed: Any) -> Leaderboard:
    """Two candidates that were measured, the second on a graph of its own, and one that was not."""
    gap = Estimate(value=-0.0456, low=-0.0567, high=-0.0345)
    alone = {"against_original": {}, "against_t": {}, "holm": {}, "verdict": None}
    rows = (
        LeaderboardRow(
            name="original", state="measured", calibration=gap, calibration_n=70, holdout=holdout_scores(**alone)
        ),
        LeaderboardRow(
            name="T",
            state="measured",
            holdout=holdout_scores(**{**alone, "against_original": holdout_scores().against_t}),
        ),
        LeaderboardRow(
            name="re-estimated",
            state="measured",
            passes=2.5,
            calibration=gap,
            calibration_n=70,
            holdout=holdout_scores(),
        ),
        LeaderboardRow(
            name="α",
            state="measured",
            passes=4.75,
            calibration=gap,
            calibration_n=70,
            holdout=holdout_scores(graph="α", folds=False, verdict="worse"),
        ),
        LeaderboardRow(name="γ and β", state="not tried", note="about 26 passes, and 20 were left"),
    )
    fields: dict[str, Any] = {
        "n": 25000,
        "resamples": 2000,
        "rows": rows,
        "chosen": "re-estimated",
        "recommended": "re-estimated",
        "recipe": json.loads(PRESETS["adabn"].canonical),
        "reason": "re-estimated, the simplest within 1 standard errors of the best",
        "passes": 17.25,
        "rungs": (Rung(examples=64, tried=("re-estimated", "α"), kept=("α",)),),
    }
    return Leaderboard(**{**fields, **changed})


def serving() -> Serving:
    """What α costs in ONNX Runtime."""
    timed = artifacts()[1].latency[0]
    return Serving(graph="α", bytes=1234, original_bytes=1000, latency=(timed,))


def stream_learning(name: str = "bn1.weight", **changed: Any) -> StreamLearning:
    fields = {"method": Tent(), "stream": Stream(), "images": 450, "learned": (name, "bn1.bias"), "reestimated": True}
    return StreamLearning(**{**fields, "collapses": 0, **changed})


def learned(name: str = "bn2.bias", **changed: Any) -> Learned:
    """γ and β, kept after the first of two epochs."""
    fields: dict[str, Any] = {
        "kind": "tune_affine",
        "per": None,
        "learned_from": 1875,
        "held_back": 625,
        "temperature": 2.125,
        "epochs": (
            LearningEpoch(learned_nll=None, held_back_nll=0.5628),
            LearningEpoch(learned_nll=0.4917, held_back_nll=0.5213),
            LearningEpoch(learned_nll=0.4506, held_back_nll=0.5342),
        ),
        "best": 1,
        "kept": 1,
        "gain": 0.0415,
        "standard_error": 0.0125,
        "reason": "epoch 1 beat the start by 0.0415 nats",
        "changed": (ChangedTensor(name="bn1.weight", change=0.01), ChangedTensor(name=name, change=0.02)),
    }
    made = {**fields, **changed}
    return (TunedAffine if made["kind"] == "tune_affine" else LearnedAlpha)(**made)


def reestimation(name: str = "layer1.0.bn1", **changed: Any) -> Reestimation:
    """Two layers, the second of which moved further."""
    moved = (Moved(name="bn1", mean=0.113, log_variance=0.217), Moved(name=name, mean=0.441, log_variance=0.873))
    return Reestimation(**{"images": 2500, "passes": 2.25, "layers": moved, **changed})


def estimation_shift(count: int = 3, name: str = "layer", **changed: Any) -> EstimationShift:
    """Layers that shift more with depth, and the input."""
    fields: dict[str, Any] = {
        "tuned": False,
        "images": 250,
        "input": InputShift(images=64, channels=4, mean=0.8125, deviation=0.9375),
        "layers": tuple(
            LayerShift(
                name=f"{name}{place}",
                channels=16,
                mean=1.25 + place,
                deviation=2.25 + place,
                mean_in_deviations=0.125 + place,
                deviation_in_deviations=0.375 + place,
                mean_by_chance=0.0625,
                deviation_by_chance=0.03125,
            )
            for place in range(count)
        ),
        "correlation_with_depth": 1.0,
    }
    return EstimationShift(**{**fields, **changed})


def noise_level(delta: float, top1: float, **changed: Any) -> NoiseLevel:
    fields = {"delta": delta, "top1": top1, "top1_sd": 0.02, "nll": 1 - top1, "nll_sd": 0.03, "broken": 0}
    return NoiseLevel(**{**fields, **changed})


def statistic_noise(*curves: NoiseCurve, **changed: Any) -> StatisticNoise:
    """The given curves, or one of three levels in two layers at once."""
    levels = tuple(map(noise_level, (0.1, 0.2, 0.3), (0.8, 0.7, 0.35)))
    together = NoiseCurve(sites=("a.bn", "b.bn"), levels=levels)
    fields: dict[str, Any] = {
        "tuned": False,
        "images": 1000,
        "chosen": "all" if curves else "first_of_blocks",
        "granularity": "channel",
        "repetitions": 5,
        "top1": 0.9,
        "nll": 0.1,
        "curves": curves or (together,),
    }
    return StatisticNoise(**{**fields, **changed})


def corruptions(*, tuned: bool = False) -> Corruptions:
    """All corruptions at two severities."""
    names = CORRUPTION_SETS["all"]
    original, after = TopOneAndNll(top1=0.61, nll=1.25), TopOneAndNll(top1=0.64, nll=1.125) if tuned else None
    change = Estimate(value=0.03, low=0.01, high=0.05) if tuned else None
    return Corruptions(
        tuned=tuned,
        images=40,
        arm="tuned+T" if tuned else None,
        temperatures=(1.5, 1.25) if tuned else (1.5,),
        resamples=100,
        scores=tuple(
            CorruptionScores(corruption=name, severity=severity, original=original, tuned=after)
            for name in names
            for severity in (1, 3)
        ),
        means=tuple(
            CorruptionMean(corruption=name, original=original, tuned=after, top1_change=change, nll_change=change)
            for name in ("clean", *names, "all")
        ),
    )


def method_scores(method: Any, number: int, **changed: Any) -> MethodScores:
    """Numbers that no other method has."""
    gap = Estimate(value=0.01 * number, low=-0.0013 * number, high=0.0217 * number)
    fields = {
        "method": method,
        "top1": 0.5 + 0.0111 * number,
        "top1_sd": 0.0021 * number,
        "nll": 0.7 + 0.0307 * number,
        "segments": tuple(0.5 + 0.01 * number + 0.003 * (part % 2) for part in range(10)),
        "against_source": gap if method else None,
        "against_iew": Estimate(value=-0.017 * number, low=-0.0411, high=-0.0023 * number) if method else None,
        "forward": 1.0,
        "backward": 0.0,
        "checks": 0.0,
        "source_change": None,
        "learned": 0,
        "collapses": 0.0,
        "resets": 0.0,
        "keeps": "runtime" if method else "nothing",
    }
    return MethodScores(**{**fields, **changed})


def adaptation_methods() -> tuple[MethodScores, ...]:
    learning: dict[str, Any] = {"learned": 14, "keeps": "re-estimation", "backward": 1.0}
    return (
        method_scores(None, 0),
        method_scores(IEW(), 1, against_iew=None, keeps="weights"),
        method_scores(BNAlpha(prior=16.0), 2, nll=None),
        method_scores(Tent(), 3, **learning, source_change=-0.0371, checks=0.043, collapses=1 / 3),
        method_scores(Tent(optimizer=SGD(), steps=2), 4, **learning, source_change=0.0013),
        method_scores(SAR(), 5, **{**learning, "forward": 1.94, "backward": 1.87}, resets=7 / 3),
        method_scores(LAME(), 6, top1=0.2383),
    )


def adaptation(text: str = "images of one class come together", **changed: Any) -> Adaptation:
    """Two streams; of the second ``text`` warns, and gives the reason for what is recommended in both."""
    measures = StreamMeasures(
        images=512,
        batch_size=64,
        correlation=0.621,
        correlation_by_chance=0.023,
        one_class=0.253,
        mixture=0.714,
        shift=0.468,
    )
    warning = StreamWarning(code="labels-correlated", message=text)
    fog = Domain(corruption="fog", severity=5)
    streams = tuple(
        StreamScores(
            stream=stream,
            visits=500,
            diagnosis=StreamDiagnosis(measures=measures, warnings=warnings, recommended=recommended, reason=text),
            methods=adaptation_methods(),
        )
        for stream, warnings, recommended in (
            (Stream(), (), None),
            (Stream(order="recurring", cycles=2, domains=(Domain(), fog)), (warning,), BNAlpha(prior=16.0)),
        )
    )
    return Adaptation(**{"tuned": False, "images": 250, "seeds": 3, "resamples": 2000, "streams": streams, **changed})


def not_applicable(reason: str = "the network has no running statistics") -> NotApplicable:
    return NotApplicable(tuned=False, images=0, probe="estimation_shift", reason=reason)


def outcomes(*others: StepResult, **changed: Any) -> tuple[StepResult, ...]:
    """What came of a run of the preset `alpha`: ``search``, then ``others``, then ``measurement``; None leaves out."""
    made = {"search": search(), "measurement": measurement(), **changed}
    found = (made.pop("search"), *others, made.pop("measurement"))
    assert not made, f"these are no outcomes: {list(made)}"
    return tuple(outcome for outcome in found if outcome is not None)


def everything() -> tuple[StepResult, ...]:
    """Something of every step."""
    return outcomes(
        leaderboard(),
        label_free(),
        learned(),
        learned(kind="learn_alpha", per="channel", kept=0, changed=(), reason="it was noise"),
        reestimation(),
        stream_learning(),
        estimation_shift(),
        statistic_noise(),
        output_bound(3),
        channel_health(3),
        corruptions(tuned=True),
        adaptation(),
        not_applicable(),
    )


def unmeasured(*others: StepResult, **changed: Any) -> Summary:
    """A run that measured and searched nothing: what came of it are ``others``."""
    return summary(**{"outcomes": others, "verdict": None, "reasons": (), **changed})


def field_shift(**changed: Any) -> FieldShift:
    """Unlabelled data that have shifted."""
    fields: dict[str, Any] = {
        "tuned": False,
        "images": 70,
        "reference": "trusted.zip",
        "reference_images": 250,
        "band_images": 64,
        "shift": 0.31,
        "shift_by_chance": 0.12,
        "misfit": 0.02,
        "misfit_by_chance": 0.03,
        "layers": (ShiftedLayer(name="bn1", shift=0.2), ShiftedLayer(name="bn2", shift=0.42)),
        "shifted": True,
        "recipe": "quick",
    }
    return FieldShift(**{**fields, **changed})


def input_fit(**changed: Any) -> InputFit:
    """Images that were prepared with ImageNet's mean and std, and want 0.5; ``changed`` replaces fields."""
    halves = Preprocessing(resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    fields: dict[str, Any] = {
        "tuned": False,
        "images": 100,
        "layer": "stem.bn",
        "channels": 28,
        "behind": 1,
        "given": PreparationFit(
            name="as given",
            misfit=0.8912,
            preprocessing=Preprocessing(resize=256, crop=224),
            scores=PreparationScores(n=250, top1=0.776, nll=0.8912),
        ),
        "others": (
            PreparationFit(
                name="mean = std = 0.5",
                misfit=0.0123,
                preprocessing=halves,
                scores=PreparationScores(n=250, top1=0.88, nll=0.4401),
            ),
            PreparationFit(name="0–1", misfit=0.6, preprocessing=None),
        ),
        "misfits": True,
        "better": "mean = std = 0.5",
        "proven": True,
        "contrast": 0.88,
        "used": 1.0,
    }
    return InputFit(**{**fields, **changed})


def summary(**changed: Any) -> Summary:
    """A run of the preset `alpha` that improved; ``changed`` replaces fields."""
    recipe = PRESETS["alpha"]
    verdict, reasons = judge(difference("alpha+T", "T"), 25_000)
    fields: dict[str, Any] = {
        "recipe": recipe,
        "recipe_digest": recipe.digest,
        "model": ModelFacts(
            architecture="torchvision/resnet50",
            architecture_args={},
            parameters=25_557_032,
            outputs=1000,
            dtype="float32",
            fingerprint="sha256:" + "12" * 32,
        ),
        "data": Data(
            source="/data/imagenet/val",
            fingerprint="sha256:" + "34" * 32,
            n=50000,
            calibration=25000,
            holdout=25000,
            classes_present=1000,
            stratified=True,
            preprocessing=Preprocessing(resize=256, crop=224),
        ),
        "changes": Changes(sites=sites(), temperature=1.1514, temperature_folded_into="fc"),
        "outcomes": outcomes(),
        "verdict": verdict,
        "reasons": reasons,
        "findings": (
            Finding(
                code="frozen-sites",
                severity="warning",
                message="2 of 53 normalisation layers normalise by the batch already and stayed as they were",
            ),
            Finding(code="folded", severity="info", message="the temperature was folded into fc"),
        ),
        "environment": Environment(
            afternorm="0.1.0",
            python="3.12.3",
            platform="Linux-6.1-x86_64",
            versions={"torch": "2.15.0", "torchvision": "0.26.0", "numpy": "2.3.1", "onnxruntime": "1.27.0"},
            device="cpu",
            threads=4,
            batch_size=256,
        ),
        "timings": Timings(seconds={"search": 412.71, "measure": 88.13, "export": 12.4}, passes=14.0),
        "artifacts": artifacts(),
        "layers": layers(),
    }
    return Summary(**{**fields, **changed})


def hostile(text: str, *, probed: bool = True) -> Summary:
    """A run in which every string from outside is ``text``; ``probed`` adds results whose plots take a while."""
    whole = summary()
    site = SiteSummary(names=(text, text), kind=text, channels=8, alpha=(0.0, 0.1), note=text)
    places = {"platform": text, "device": text, "versions": {text: text}}
    training = TrainingData(source=text, fingerprint=text, n=8)
    return summary(
        layers=tuple(layer.model_copy(update={"name": text}) for layer in layers(2)),
        model=whole.model.model_copy(
            update={"architecture": text, "architecture_args": {text: text}, "fingerprint": text}
        ),
        data=whole.data.model_copy(update={"source": text, "fingerprint": text, "training": training}),
        changes=Changes(sites=(site,), temperature=1.1514, temperature_folded_into=text),
        outcomes=hostile_outcomes(text, hostile_probes(text) if probed else ()),
        reasons=(text,),
        findings=(Finding(code=text, severity="warning", message=text),),
        environment=whole.environment.model_copy(update=places),
        timings=Timings(seconds={text: 1.0}, passes=1.0),
        artifacts=tuple(item.model_copy(update={"name": text}) for item in artifacts()),
        serving=(serving().model_copy(update={"graph": text}),),
    )


def hostile_outcomes(text: str, probes: tuple[StepResult, ...]) -> tuple[StepResult, ...]:
    """Something of every step whose words name things, and ``probes``; every such name is ``text``."""
    one = changed_example(7, entry=text, name=text, before=Prediction(label=391, name=text, confidence=0.514))
    hit = changes().model_copy(update={"classes": (class_change(0, name=text),), "examples": (one,)})
    rows = (
        *(item for item in leaderboard().rows if item.name in ("original", "T")),
        LeaderboardRow(name=text, state="not tried", note=text),
    )
    board: dict[str, Any] = {"rows": rows, "chosen": text, "recommended": text, "recipe": {text: text}}
    board |= {"reason": text, "domains": (text,)}
    return outcomes(
        leaderboard(**board, rungs=(Rung(examples=64, tried=(text,), kept=(text,)),)),
        label_free(points=(), reason=text),
        learned(text, reason=text),
        reestimation(text),
        stream_learning(text),
        *probes,
        channel_health(1).model_copy(update={"layers": (), "left_out": (text,)}),
        not_applicable(text).model_copy(update={"probe": text}),
        search=search().model_copy(update={"points": (), "reason": text}),
        measurement=measurement().model_copy(update={"reliability": {}, "changes": hit, "domains": (text,)}),
    )


def hostile_probes(text: str) -> tuple[StepResult, ...]:
    """Probes that name layers; every name is ``text``."""
    (bound,), (shift,) = output_bound(1).layers, estimation_shift(1).layers
    return (
        estimation_shift(layers=(shift.model_copy(update={"name": text}),)),
        statistic_noise(NoiseCurve(sites=(text,), levels=(noise_level(0.1, 0.8),))),
        output_bound(1).model_copy(update={"layers": (bound.model_copy(update={"name": text}),), "left_out": (text,)}),
    )


def comparison() -> BatchComparison:
    """Runs that ended in every way."""
    unchanged = Changes(sites=sites(2, alpha=None), temperature=1.19, temperature_folded_into="fc")
    only_t = summary(
        outcomes=outcomes(measurement=measurement(("original", "T"))), verdict=None, changes=unchanged, artifacts=()
    )
    return BatchComparison(
        (
            Compared(("r50", "clean", "alpha"), summary()),
            Compared(("r50", "clean", "T"), only_t),
            Compared(("r50", "far", "alpha"), unmeasured(search())),
            Compared(("broken", "clean", "alpha"), error="the file ends <early>\x1b[31m"),
            Compared(("broken", "clean", "T")),
        )
    )


def expected_numbers(measured: Measurement) -> list[str]:
    """Every score and difference with its interval, written from the conventions and not by the product."""
    numbers = []
    signed = [(item.metrics, "") for item in measured.arms] + [(item.metrics, "+") for item in measured.differences]
    for metrics, sign in signed:
        for metric, estimate in metrics.items():
            spec, scale = (f"{sign}.2f", 100) if metric.startswith("top") else (f"{sign}.4f", 1)
            value, low, high = (format(scale * bound, spec) for bound in (estimate.value, estimate.low, estimate.high))
            numbers += [value, f"[{low}, {high}]"]
    return numbers
