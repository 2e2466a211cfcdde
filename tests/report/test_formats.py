"""Text, markdown and HTML say the same in the same order, and each result says its essence in all three."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from calibrate.recipe import PRESETS
from calibrate.report import Page, render_html, render_markdown, render_text, run_page
from calibrate.result import Changes, Summary, TrainingData
from calibrate.steps import StepResult
from tests import samples
from tests.report import reading

FORMATS = ("text", "markdown", "html")

each_format = pytest.mark.parametrize("form", FORMATS)

WHOLE = [
    "Verdict",
    "Findings",
    "Search for α",
    "Scores on the holdout half (n = 25,000)",
    "Differences on the same examples",
    "Reliability",
    "Change in each class",
    "Examples whose prediction changed",
    "The network after the recipe",
    "Normalisation layers",
    "Files",
    "How it was made",
]
OF_THE_MEASUREMENT = WHOLE[3:8]


def auto() -> Summary:
    found = samples.outcomes(samples.leaderboard(), samples.reestimation(), search=None)
    return samples.summary(recipe=PRESETS["auto"], outcomes=found, serving=(samples.serving(),))


def probe() -> Summary:
    probes = (samples.estimation_shift(), samples.statistic_noise(), samples.output_bound(), samples.channel_health())
    unchanged = Changes(sites=samples.sites(3, alpha=None), temperature=1.0, temperature_folded_into=None)
    return samples.unmeasured(*probes, recipe=PRESETS["probe"], changes=unchanged, artifacts=(), findings=())


def unlabelled(*others: StepResult) -> Summary:
    data = samples.summary().data.model_copy(update={"classes_present": 0, "stratified": False})
    return samples.unmeasured(samples.label_free(), *others, data=data)


def everything() -> Summary:
    return samples.summary(outcomes=samples.everything(), serving=(samples.serving(),))


RUNS = {"alpha": samples.summary, "auto": auto, "probe": probe, "unlabelled": unlabelled, "everything": everything}


@cache
def seen(run: str) -> dict[str, reading.Seen]:
    """What a reader sees of the run in each format; drawing takes a while."""
    return reading.read(RUNS[run]())


each_run = pytest.mark.parametrize("run", RUNS)


@each_run
def test_the_headings_of_all_formats_are_the_same_in_the_same_order(run: str) -> None:
    text, markdown, html = (seen(run)[form].headings for form in FORMATS)
    assert text == markdown == html
    assert text == [reading.flat(section.title) for section in run_page(RUNS[run]()).all_sections]
    assert [*text[:2], *text[-4:]] == [*WHOLE[:2], *WHOLE[-4:]]


def test_outcomes_stand_in_the_order_of_the_recipe_between_the_findings_and_the_network() -> None:
    found = seen("everything")["text"].headings
    titles = [section.title for outcome in samples.everything() for section in outcome.sections()]
    assert len(set(titles)) == len(titles) >= len(samples.everything())
    assert found == [*WHOLE[:2], *titles, "Serving", *WHOLE[-4:]]


@each_run
def test_without_details_exactly_the_sections_marked_as_such_are_left_out(run: str) -> None:
    summary = RUNS[run]()
    page = run_page(summary)
    kept = tuple(section for section in page.all_sections if not section.detail)
    brief = render_text(summary, details=False)
    assert reading.text_headings(brief) == [reading.flat(section.title) for section in kept]
    assert brief == Page(page.title, page.heading, kept).text()
    assert "Normalisation layers" not in reading.text_headings(brief)
    assert render_text(summary, details=True) == render_text(summary)


def test_the_details_are_the_layers_the_classes_and_the_examples() -> None:
    page = run_page(everything())
    assert [section.title for section in page.all_sections if section.detail] == [
        "Change in each class",
        "Examples whose prediction changed",
        "Normalisation layers",
    ]


NOT_MEASURED = {"outcomes": samples.outcomes(measurement=None), "verdict": None, "reasons": ()}


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({}, ()),
        (NOT_MEASURED, OF_THE_MEASUREMENT),
        ({"outcomes": samples.outcomes(search=None)}, ("Search for α",)),
        ({"outcomes": ()}, ("Search for α", *OF_THE_MEASUREMENT)),
        ({"outcomes": samples.outcomes(measurement=samples.measurement(("original", "T")))}, OF_THE_MEASUREMENT[3:]),
        (
            {"outcomes": samples.outcomes(measurement=samples.measurement(("original",)))},
            (OF_THE_MEASUREMENT[1], *OF_THE_MEASUREMENT[3:]),
        ),
        (
            {"outcomes": samples.outcomes(measurement=samples.measurement().model_copy(update={"reliability": {}}))},
            ("Reliability",),
        ),
        ({"artifacts": (), "findings": (), "layers": ()}, ()),
        ({"changes": Changes(sites=(), temperature=1.0, temperature_folded_into=None)}, ()),
    ],
)
def test_a_result_that_is_not_there_has_no_section_and_no_other_part_is_dropped(
    changed: dict[str, Any], missing: tuple[str, ...]
) -> None:
    for found in reading.read(samples.summary(**changed)).values():
        assert found.headings == [heading for heading in WHOLE if heading not in missing]


T_ALONE = {
    "outcomes": samples.outcomes(measurement=samples.measurement(("original", "T"))),
    "verdict": "improved",
    "reasons": ("α is not shown to improve on T",),
}
ONLY_T = {"outcomes": samples.outcomes(measurement=samples.measurement(("original", "T"))), "verdict": None}
ONLY_ORIGINAL = {"outcomes": samples.outcomes(measurement=samples.measurement(("original",))), "verdict": None}
SAME_PREDICTIONS = samples.measurement().model_copy(update={"changes": samples.changes(examples=())})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (NOT_MEASURED, "Not measured: this run does not show whether the change helps."),
        ({"outcomes": (), "recipe": PRESETS["probe"], "verdict": None}, "Only probed: this run says what"),
        (ONLY_T, "No verdict: nothing was compared with the temperature alone. T against the original network: NLL"),
        (ONLY_T, "No arm was tuned besides T"),
        (T_ALONE, "Improved by the temperature alone. T against the original network: NLL"),
        (T_ALONE, "The choice: α is not shown to improve on T."),
        (ONLY_ORIGINAL, "The scores say how good the network is, not that it became better."),
        ({"artifacts": ()}, "No network was written."),
        ({"findings": ()}, "None."),
        ({"layers": ()}, "Absent: the network has no normalisation layers."),
        (
            {"changes": Changes(sites=(), temperature=1.0, temperature_folded_into=None)},
            "none: the network has no normalisation layers",
        ),
        ({"outcomes": samples.outcomes(measurement=SAME_PREDICTIONS)}, "None: every prediction is as before."),
    ],
)
def test_what_is_absent_is_said_in_every_format(changed: dict[str, Any], said: str) -> None:
    part = reading.read(samples.summary(**changed))
    for form in FORMATS:
        assert said in part[form].words
        assert said not in seen("alpha")[form].words


@each_run
def test_every_number_of_the_text_is_in_the_other_formats(run: str) -> None:
    text, markdown, html = (reading.numbers(seen(run)[form].words) for form in FORMATS)
    assert text == markdown
    assert text <= html


@pytest.mark.parametrize("render", [render_text, render_markdown, render_html])
def test_rendering_twice_gives_the_same_bytes(render: Callable[[Summary], str]) -> None:
    assert render(everything()) == render(everything())


FLIPPED = samples.reestimation(augmentation="flip_crop")
OF_TRAINING = samples.reestimation(on="training", augmentation="flip_crop")


@pytest.mark.parametrize(
    ("found", "essence"),
    [
        (
            samples.output_bound(3),
            (
                "Output bound of the original network",
                "1 of 3 layers put out values that no training batch of 8 can give, most of them bn2: 12 % of its",
                "Left out: 1 layer (frozen), each frozen, without running statistics",
                "248 examples in whole batches of 8",
            ),
        ),
        (
            samples.channel_health(3),
            (
                "Channel health of the tuned network",
                "Of 48 channels in 3 layers, 3 are dead, 6 silent, 9 pruned and 12 exploding.",
                "Left out: 1 layer (frozen), each without running statistics of each channel",
            ),
        ),
        (
            samples.statistic_noise(),
            (
                "Noise in the running statistics of the original network",
                "With noise of up to 30%, top-1 goes from 90.00 % to 35.00 % (sd 2.00) and NLL from 0.1000 to 0.6500.",
                "the first matching layer of each of the first residual blocks: a.bn, b.bn.",
                "Mean and standard deviation over 5 draws",
            ),
        ),
        (
            samples.corruptions(tuned=True),
            (
                "The original network has a top-1 of 61.00 % on the clean images",
                "tuned+T has 64.00 % on the corrupted images, +3.00 points [+1.00, +5.00].",
                "They are not the files of ImageNet-C",
                "C-style motion blur",
            ),
        ),
        (
            samples.estimation_shift(),
            (
                "Estimation shift of the original network",
                "ESM_σ is largest in layer2, 2.38 in the channels' own standard deviations",
                "it grows with depth (rank correlation +1.00).",
                "compared with that on 64 examples of the training data.",
                "(the input)",
            ),
        ),
        (
            samples.estimation_shift(input=None, tuned=True),
            ("Estimation shift of the tuned network", "Layer 0, the network's input: not applicable"),
        ),
        (
            samples.not_applicable(),
            ("Estimation shift", "Not applicable: the network has no running statistics."),
        ),
        (
            samples.reestimation(),
            (
                "Running statistics",
                "2 layers re-estimated on 2,500 examples of the calibration half, without labels (2.25 passes).",
                "the running mean moved by up to 0.44 standard deviations (layer1.0.bn1)",
                "|log variance| by up to 0.87 (layer1.0.bn1).",
            ),
        ),
        (FLIPPED, ("2,500 examples of the calibration half, mirrored and shifted at random, without labels",)),
        (OF_TRAINING, ("2,500 examples of the training data, mirrored and shifted at random, without labels",)),
        (samples.reestimation(layers=()), ("Re-estimated, but no example came to any of the layers.",)),
        (samples.reestimation(weight=1.0), ("The running statistics stayed as they were",)),
        (
            samples.label_free(),
            (
                "Search for α without labels: entropy",
                "Chose α = 0.125 by predictions that are sure, of all classes",
                "none of whose labels was used",
                "Only a measurement with labels shows whether it helps.",
            ),
        ),
        (
            samples.stream_learning(),
            ("Learned from a stream by Tent", "2 tensors learned by Tent from 450 examples of the calibration half"),
        ),
        (samples.learned(), ("Learning γ and β", "Epoch 1 was kept: epoch 1 beat the start by 0.0415 nats.")),
        (samples.leaderboard(), ("Leaderboard", "Recommended: re-estimated.")),
        (samples.adaptation(), ("Adaptation of the original network", "SAR has the highest top-1, 55.55 %")),
        (samples.search(), ("Search for α", "Chose α = 0.05: it beats α = 0 by 0.0154 nats, 7.2 standard errors.")),
    ],
)
def test_each_result_says_its_essence_in_every_format(found: StepResult, essence: tuple[str, ...]) -> None:
    with_it, without = (reading.read(samples.unmeasured(*some, layers=())) for some in ((found,), ()))
    for form in FORMATS:
        for said in essence:
            assert said in with_it[form].words
            assert said not in without[form].words


@each_format
def test_data_without_labels_are_called_that_in_the_heading(form: str) -> None:
    assert "(n = 50,000: 25,000 to calibrate, 25,000 held out; no labels)" in seen("unlabelled")[form].words
    labelled = seen("alpha")[form].words
    assert "no labels" not in labelled
    assert "25,000 held out, stratified; 1,000 classes present)" in labelled


def test_training_data_are_named_in_the_heading_and_identified_in_the_end() -> None:
    training = TrainingData(source="/data/imagenet/train", fingerprint="sha256:" + "56" * 32, n=1_281_167)
    data = samples.summary().data.model_copy(update={"training": training})
    found = reading.read(samples.summary(data=data))
    for form in FORMATS:
        heading, _, rest = found[form].words.partition(" Verdict ")
        assert "/data/imagenet/train (n = 1,281,167)" in heading
        assert training.fingerprint in rest
        assert "training examples" not in seen("alpha")[form].words


def test_the_network_after_the_recipe_says_what_was_changed_besides_alpha() -> None:
    changed = samples.summary(outcomes=(samples.reestimation(), samples.stream_learning(), samples.learned()))
    for seen in reading.read(changed).values():
        assert "re-estimated statistics; γ and β from Tent; tuned γ and β" in seen.words
    for seen in reading.read(samples.summary()).values():
        assert "re-estimated statistics" not in seen.words
