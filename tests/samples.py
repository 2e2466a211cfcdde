"""Summaries as runs make them, built without running anything."""

from typing import Any

from calibrate.recipe import PRESETS, Preprocessing
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
)
from calibrate.steps import (
    DRIFT_BINS,
    AlphaSearch,
    Answer,
    Answers,
    Arm,
    Bin,
    ChangedExample,
    ChannelHealth,
    ClassChange,
    CurvePoint,
    Difference,
    GradientFactor,
    HeldOut,
    Kept,
    LabelFreePoint,
    LabelFreeSearch,
    LayerBound,
    LayerHealth,
    Leaderboard,
    LeaderboardRow,
    Measurement,
    OutputBound,
    Rung,
    Scores,
    Stream,
    Tent,
    judge,
)
from calibrate.values import METRICS, Estimate, Metric

ALPHAS = (0.0, 0.005, 0.01, 0.025, 0.05, 0.0625, 0.075, 0.1, 0.2, 0.35, 0.5)
LEVELS: dict[Arm, tuple[float, ...]] = {
    "plain": (0.76134, 0.92862, 0.96183, 0.03714, 0.33991),
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


def measurement(arms: tuple[Arm, ...] = ("plain", "T", "alpha", "alpha+T"), bins: int = 15) -> Measurement:
    pairs: tuple[tuple[Arm, Arm], ...] = (("T", "plain"), ("alpha", "plain"), ("alpha+T", "plain"), ("alpha+T", "T"))
    return Measurement(
        n=25000,
        resamples=2000,
        arms=tuple(scores(arm) for arm in arms),
        differences=tuple(difference(*pair) for pair in pairs if set(pair) <= set(arms)),
        reliability={arm: confidence_bins(1.3 if arm in ("plain", "alpha") else 1.05, bins) for arm in arms},
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
        "reason": "α = 0.125 lowered the criterion by 0.1250, with a standard error of 0.0312 (1 of them asked for)",
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
                    plain_ms=19.842,
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
        "before": Answer(label=391, name="coho", confidence=0.514),
        "after": Answer(label=0, name="tench", confidence=0.713),
    }
    return ChangedExample(**{**fields, **changed})


def class_change(label: int, fixed: int = 2, broken: int = 1, **changed: Any) -> ClassChange:
    fields = {"label": label, "name": f"class-{label}", "n": 25, "before": 18, "after": 18 + fixed - broken}
    return ClassChange(**{**fields, "fixed": fixed, "broken": broken, "low": -0.11, "high": 0.19, **changed})


def answers(classes: int = 12, **changed: Any) -> Answers:
    fields = {
        "n": 25000,
        "fixed": 204,
        "broken": 160,
        "other": 77,
        "p": 0.0243,
        "classes": tuple(class_change(label) for label in range(classes)),
        "examples": (changed_example(7), changed_example(9, direction="broken", name=None)),
    }
    return Answers(**{**fields, **changed})


def held_out(**changed: Any) -> HeldOut:
    """What a leaderboard says of a candidate that was measured."""
    whole = difference("alpha+T", "T").metrics
    fields: dict[str, Any] = {
        "temperature": 1.25,
        "graph": "folded",
        "folds": True,
        "metrics": scores("alpha+T").metrics,
        "against_plain": whole,
        "against_t": whole,
        "holm": {"nll": 0.0123, "top1": 0.4567},
        "detectable": {"nll": 0.0111, "top1": 0.0222},
        "verdict": "improved",
    }
    return HeldOut(**{**fields, **changed})


def leaderboard(**changed: Any) -> Leaderboard:
    """Two candidates that were measured, the second on a graph of its own, and one that was not."""
    gap = Estimate(value=-0.0456, low=-0.0567, high=-0.0345)
    alone = {"against_plain": {}, "against_t": {}, "holm": {}, "verdict": None}
    standings = (
        LeaderboardRow(name="plain", state="measured", calibration=gap, calibration_n=70, held_out=held_out(**alone)),
        LeaderboardRow(
            name="T", state="measured", held_out=held_out(**{**alone, "against_plain": held_out().against_t})
        ),
        LeaderboardRow(
            name="re-estimated", state="measured", passes=2.5, calibration=gap, calibration_n=70, held_out=held_out()
        ),
        LeaderboardRow(
            name="α",
            state="measured",
            passes=4.75,
            calibration=gap,
            calibration_n=70,
            held_out=held_out(graph="α", folds=False, verdict="worse"),
        ),
        LeaderboardRow(name="γ and β", state="not tried", note="about 26 passes, and 20 were left"),
    )
    fields: dict[str, Any] = {
        "n": 25000,
        "resamples": 2000,
        "standings": standings,
        "chosen": "re-estimated",
        "recommended": "re-estimated",
        "recipe": PRESETS["adabn"].model_dump(mode="json"),
        "reason": "re-estimated, the simplest within 1 standard errors of the best",
        "passes": 17.25,
        "rungs": (Rung(examples=64, tried=("re-estimated", "α"), kept=("α",)),),
    }
    return Leaderboard(**{**fields, **changed})


def serving() -> Serving:
    """What α costs in ONNX Runtime."""
    timed = artifacts()[1].latency[0]
    return Serving(graph="α", bytes=1234, plain_bytes=1000, latency=(timed,))


def kept(name: str = "bn1.weight", **changed: Any) -> Kept:
    fields = {"method": Tent(), "stream": Stream(), "images": 450, "learned": (name, "bn1.bias"), "reestimated": True}
    return Kept(**{**fields, "collapses": 0, **changed})


def summary(**changed: Any) -> Summary:
    """A run of the preset `alpha` that improved; ``changed`` replaces fields."""
    recipe = PRESETS["alpha"]
    verdict, reasons = judge(difference("alpha+T", "T"))
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
        "search": search(),
        "measurement": measurement(),
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
        "answers": answers(),
    }
    return Summary(**{**fields, **changed})


def hostile(text: str) -> Summary:
    """A run in which every string from outside is ``text``; without plots, which show no such string."""
    whole = summary()
    site = SiteSummary(names=(text, text), kind=text, channels=8, alpha=(0.0, 0.1), note=text)
    places = {"platform": text, "device": text, "versions": {text: text}}
    one = changed_example(7, entry=text, name=text, before=Answer(label=391, name=text, confidence=0.514))
    return summary(
        layers=tuple(layer.model_copy(update={"name": text}) for layer in layers(2)),
        answers=answers().model_copy(update={"classes": (class_change(0, name=text),), "examples": (one,)}),
        model=whole.model.model_copy(update={"architecture": text, "architecture_args": {text: text}}),
        data=whole.data.model_copy(update={"source": text, "fingerprint": text}),
        changes=Changes(sites=(site,), temperature=1.1514, temperature_folded_into=text),
        search=search().model_copy(update={"points": (), "reason": text}),
        label_free=(label_free(points=(), reason=text),),
        measurement=measurement().model_copy(update={"reliability": {}}),
        reasons=(text,),
        findings=(Finding(code=text, severity="warning", message=text),),
        environment=whole.environment.model_copy(update=places),
        timings=Timings(seconds={text: 1.0}, passes=1.0),
        artifacts=tuple(item.model_copy(update={"name": text}) for item in artifacts()),
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
