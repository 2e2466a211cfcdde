"""One summary with every field filled in, as a run would write it."""

from calibrate.recipe import PRESETS, Preprocessing
from calibrate.result import (
    METRICS,
    AlphaSearch,
    Answer,
    Answers,
    Artifact,
    Bin,
    ChangedExample,
    Changes,
    ClassChange,
    CurvePoint,
    Data,
    Difference,
    Environment,
    Estimate,
    Finding,
    Latency,
    LayerStatistics,
    Measurement,
    Model,
    Parity,
    Scores,
    Site,
    Summary,
    Timings,
)


def measurement() -> Measurement:
    metrics = {metric: Estimate(value=0.1, low=0.05, high=1 / 3) for metric in METRICS}
    arms = ("plain", "T", "alpha", "alpha+T")
    return Measurement(
        n=30,
        resamples=100,
        arms=tuple(Scores(arm=arm, alpha="alpha" in arm, temperature=1.5, metrics=metrics) for arm in arms),
        differences=(
            Difference(arm="alpha+T", baseline="T", metrics=metrics),
            Difference(arm="alpha+T", baseline="plain", metrics={}),
        ),
        reliability={arm: (Bin(low=0, high=1, count=30, confidence=0.9, accuracy=0.8),) for arm in arms},
    )


def layers() -> tuple[LayerStatistics, ...]:
    numbers = ("mean_offset", "variance_min", "variance_median", "variance_max", "dead", "gamma_mean", "gamma_drift")
    values = {name: 0.25 + 0.1 * place for place, name in enumerate((*numbers, "beta_drift", "alpha"))}
    return (LayerStatistics(name="bn1", channels=2, positions=64, **values),)


def answers() -> Answers:
    one = ClassChange(label=1, name="dog", n=30, before=20, after=22, fixed=3, broken=1, low=-0.05, high=0.2)
    example = ChangedExample(
        index=4,
        entry="'dog/4.png' in photos",
        label=1,
        name="dog",
        direction="fixed",
        before=Answer(label=0, name="cat", confidence=0.6),
        after=Answer(label=1, name="dog", confidence=0.7),
    )
    return Answers(n=30, fixed=3, broken=1, other=2, p=0.625, classes=(one,), examples=(example,))


def summary() -> Summary:
    recipe = PRESETS["alpha"]
    point = CurvePoint(alpha=0.05, temperature=1.1, nll=0.9, nll_after_temperature=0.85, top1=0.7)
    parity = Parity(batch_size=1, relative_error=1e-6, inputs="data")
    latency = Latency(
        batch_size=1, tuned_ms=2.0, plain_ms=1.5, ratio=4 / 3, ratio_low=1.2, ratio_high=1.4, runs=30, threads=2
    )
    return Summary(
        recipe=recipe,
        recipe_digest=recipe.digest,
        model=Model(
            architecture="cifar/resnet20",
            architecture_args={"num_classes": 10, "widths": [16, 32], "note": None},
            parameters=272474,
            outputs=10,
            dtype="float32",
            fingerprint="sha256:ab",
        ),
        data=Data(
            source="photos",
            fingerprint="sha256:cd",
            n=60,
            calibration=30,
            holdout=30,
            classes_present=10,
            stratified=True,
            preprocessing=Preprocessing(resize=256, crop=224),
        ),
        changes=Changes(
            sites=(
                Site(names=("bn1", "alias.bn1"), kind="BatchNorm2d", channels=2, alpha=(0.1, 0.2)),
                Site(names=("bn2",), kind="BatchNorm1d", channels=4, alpha=0.1, note="1×1 maps"),
                Site(names=("ln",), kind="LayerNorm", channels=4, alpha=None),
            ),
            temperature=1.5,
            temperature_folded_into="fc",
        ),
        search=AlphaSearch(
            points=(point, point.model_copy(update={"alpha": 0.1})),
            chosen=0.05,
            best_by_nll=0.05,
            best_by_top1=0.1,
            standard_error=0.001,
            reason="it beats α = 0",
            passes=9,
        ),
        measurement=measurement(),
        verdict="improved",
        reasons=("NLL …", "top-1 …"),
        findings=(Finding(code="few-examples", severity="info", message="Only 30 examples."),),
        environment=Environment(
            afternorm="0.1.0",
            python="3.11.7",
            platform="Linux",
            versions={"torch": "2.15", "numpy": "2.4"},
            device="cpu",
            threads=2,
            batch_size=64,
        ),
        timings=Timings(seconds={"search": 1.5}, passes=9.0),
        artifacts=(
            Artifact(name="model.onnx", format="onnx", bytes=9, sha256="ef", parity=(parity,), latency=(latency,)),
        ),
        layers=layers(),
        answers=answers(),
    )
