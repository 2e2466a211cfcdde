"""The step ``adaptation``: its numbers are those of a loop by hand, and the network stays as it is."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from calibrate import Outcome, Recipe, retrofit
from calibrate.adapt import Adapted
from calibrate.data import Corrupted, open_data, split
from calibrate.data.stream_orders import stream_order
from calibrate.diagnose import diagnose_stream
from calibrate.engine.streams.scores import Course, method_scores
from calibrate.errors import ModelError, UsageError
from calibrate.steps import (
    EATA,
    IEW,
    LAME,
    SGD,
    Adam,
    Adaptation,
    CollapseRule,
    Domain,
    Measure,
    Method,
    MethodScores,
    NotApplicable,
    PredictionTimeBN,
    ProbeAdaptation,
    ProbeResult,
    SearchAlpha,
    SetAlpha,
    Stream,
    Tent,
)
from tests.builders.examples import examples, holdout, trained
from tests.builders.images import PIXELS, images, network
from tests.builders.networks import grouped, warmed_up
from tests.builders.runs import codes
from tests.builders.states import assert_untouched, snapshot

QUICK = Tent(optimizer=Adam(lr=0.05))
TWO: tuple[Method, ...] = (IEW(alpha=0.3), QUICK)
SEED = 3


def step(*streams: Stream, methods: "tuple[Method, ...]" = TWO, **fields: object) -> ProbeAdaptation:
    settings = {"seeds": 2, "max_samples": None, "resamples": 100, **fields}
    return ProbeAdaptation.model_validate({"streams": streams, "methods": methods, **settings})


def ran(probe: ProbeAdaptation, model: nn.Module | None = None, **arguments: object) -> Outcome:
    return retrofit(model or trained(), Recipe(seed=SEED, steps=[probe]), data=examples(), batch_size=16, **arguments)


def probed(outcome: Outcome) -> Adaptation:
    (found,) = outcome.summary.of(ProbeResult)
    assert isinstance(found, Adaptation)
    return found


def rows_of(found: Adaptation, stream: int = 0) -> "dict[str, MethodScores]":
    return {item.method.kind if item.method else "source": item for item in found.streams[stream].methods}


METHODS = (IEW(alpha=0.3), PredictionTimeBN(), QUICK, LAME())
STREAMS = (
    Stream(batch_size=8),
    Stream(order="class_sorted", batch_size=7),
    Stream(order="recurring", cycles=2, batch_size=20),
    Stream(batch_size=1),
    Stream(batch_size=8, episodic=True),
)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.title)
def test_the_scores_are_those_of_a_loop_by_hand(stream: Stream) -> None:
    found = probed(ran(step(stream, methods=METHODS)))
    x, y = map(torch.as_tensor, holdout(SEED))
    shares = []
    for item in found.streams[0].methods:
        right, nll, by_example = [], [], np.zeros(len(y))
        for seed in (SEED, SEED + 1):
            _, rows = stream_order(y.numpy(), stream, seed)
            visits = torch.from_numpy(rows)
            if item.method is None:
                logits = trained()(x[visits]).detach()
            else:
                adapted = Adapted(trained(), item.method, episodic=stream.episodic)
                logits = torch.cat([adapted.step(batch) for batch in x[visits].split(stream.batch_size)])
                batches = math.ceil(len(visits) / stream.batch_size)
                passes = (item.forward * batches, item.backward * batches)
                assert passes == pytest.approx((adapted.tally.forward, adapted.tally.backward))
                assert (item.learned, item.keeps) == (len(adapted.learned), adapted.keeps)
            right.append((logits.argmax(1) == y[visits]).double().numpy())
            nll.append(nn.functional.cross_entropy(logits.double(), y[visits]))
            np.add.at(by_example, rows, right[-1] / len(visits) * len(y) / 2)
        top1 = [seed.mean() for seed in right]
        assert (item.top1, item.top1_sd) == pytest.approx((np.mean(top1), np.std(top1, ddof=1)))
        assert item.nll == pytest.approx(float(torch.stack(nll).mean()), rel=1e-5)
        assert len(item.segments) == 10
        first = math.ceil(len(right[0]) / 10)
        assert item.segments[0] == pytest.approx(np.mean([seed[:first].mean() for seed in right]))
        shares.append(by_example)
        redrawn = np.random.Generator(np.random.PCG64(SEED)).integers(0, len(y), (100, len(y)))
        for estimate, other in ((item.against_source, 0), (item.against_iew, 1)):
            if len(shares) - 1 in (0, other):
                assert estimate is None
                continue
            difference = by_example - shares[other]
            low, high = np.percentile(difference[redrawn].mean(1), (2.5, 97.5))
            assert estimate is not None
            assert (estimate.value, estimate.low, estimate.high) == pytest.approx((difference.mean(), low, high))
    first_part = x[torch.from_numpy(stream_order(y.numpy(), stream, SEED)[1])].split(stream.batch_size)
    assert found.streams[0].diagnosis == diagnose_stream(trained(), first_part, SEED)
    assert (found.images, found.streams[0].visits) == (len(y), len(y) * (stream.cycles or 1))


def test_two_runs_agree_and_the_network_is_never_changed() -> None:
    model = trained().train()
    before = snapshot(model)
    first = ran(step(Stream(batch_size=8)), model)
    assert_untouched(model, before)
    assert first.summary.digest == ran(step(Stream(batch_size=8))).summary.digest
    assert all(torch.equal(value, before.tensors[name]) for name, value in first.model.state_dict().items())
    assert probed(first).tuned is False


def test_domains_are_corrupted_and_come_in_turn_or_mixed() -> None:
    domains = (Domain(), Domain(corruption="contrast", severity=5))
    streams = (Stream(domains=domains, batch_size=8), Stream(order="mixed", domains=domains, batch_size=8))
    recipe = Recipe(steps=[step(*streams, methods=(QUICK,), seeds=1)])
    outcome = retrofit(network(), recipe, data=images(), preprocessing=PIXELS)
    source = open_data(images(), preprocessing=PIXELS)
    rows = split(source.labels, 0).holdout
    inputs = torch.stack(
        [
            torch.cat([batch.inputs for batch in made.batches(rows, 64)])
            for made in (source, Corrupted(source, "contrast", 5, 0))
        ]
    )
    for place, stream in enumerate(streams):
        order = stream_order(source.labels[rows], stream, 0)
        y = torch.from_numpy(source.labels[rows][order[1]])
        x = inputs[torch.from_numpy(order[0]), torch.from_numpy(order[1])]
        adapted = Adapted(network(), QUICK)
        logits = torch.cat([adapted.step(batch) for batch in x.split(8)])
        found = rows_of(probed(outcome), place)
        assert found["tent"].nll == pytest.approx(float(nn.functional.cross_entropy(logits, y)), rel=1e-5)
        assert found["source"].nll == pytest.approx(
            float(nn.functional.cross_entropy(network()(x), y).detach()), rel=1e-5
        )
    assert probed(outcome).streams[0].visits == 2 * len(rows)


def test_images_that_cannot_be_corrupted_are_no_failure() -> None:
    (found,) = ran(step(Stream(domains=(Domain(corruption="fog", severity=1),)))).summary.of(ProbeResult)
    assert isinstance(found, NotApplicable)
    assert "floating point" in found.reason


def test_what_a_stream_costs_on_the_examples_as_they_are() -> None:
    """As it stands, without learning, in random order; what learns nothing has nothing to lose."""
    hasty = Tent(optimizer=SGD(lr=2.0), steps=3)
    probe = step(
        Stream(order="class_sorted", batch_size=15), methods=(hasty, PredictionTimeBN()), seeds=1, collapse=None
    )
    found = rows_of(probed(ran(probe)))
    x, y = map(torch.as_tensor, holdout(SEED))
    adapted = Adapted(trained(), hasty, collapse=None)
    shuffled = torch.from_numpy(np.random.Generator(np.random.PCG64(SEED)).permutation(len(y)))

    def top1() -> float:
        with torch.no_grad():
            logits = torch.cat([adapted.model(batch) for batch in x[shuffled].split(16)])
        return float((logits.argmax(1) == y[shuffled]).double().mean())

    before = top1()
    for batch in x[torch.from_numpy(stream_order(y.numpy(), Stream(order="class_sorted"), SEED)[1])].split(15):
        adapted.step(batch)
    assert found["tent"].source_change == pytest.approx(top1() - before)
    assert found["tent"].source_change != 0
    assert found["prediction_time_bn"].source_change is None


def test_an_episodic_stream_leaves_nothing() -> None:
    assert rows_of(probed(ran(step(Stream(batch_size=8, episodic=True)))))["tent"].source_change is None


def test_batches_of_one_class_ruin_batch_statistics_and_the_diagnosis_says_so() -> None:
    """Here a class is a brightness, which a batch of one class normalises away."""
    streams = (Stream(batch_size=15), Stream(order="class_sorted", batch_size=15))
    outcome = ran(step(*streams, methods=(PredictionTimeBN(),)))
    shuffled, by_class = (rows_of(probed(outcome), place) for place in (0, 1))
    assert shuffled["source"].top1 == by_class["source"].top1
    assert by_class["prediction_time_bn"].top1 < shuffled["prediction_time_bn"].top1 - 0.2
    found = {finding.code: finding.message for finding in outcome.summary.findings}
    assert "prediction_time_bn" in found["stream-labels-correlated"]
    assert "class-sorted" in found["stream-labels-correlated"]
    assert "stream-labels-correlated" not in codes(ran(step(streams[1], methods=(IEW(), LAME()))).summary)


def test_collapses_are_counted_and_told() -> None:
    """An image normalised by itself has no brightness, which here is its class: all are answered alike."""
    rule = CollapseRule(memory=4, checked=4, entropy_share=1.0)
    alone, methods = Stream(batch_size=1), (QUICK,)
    watched, unwatched = (ran(step(alone, methods=methods, collapse=each)) for each in (rule, None))
    adapted = [Adapted(trained(), QUICK, collapse=rule) for _ in range(2)]
    x, y = map(torch.as_tensor, holdout(SEED))
    for seed, each in enumerate(adapted):
        for image in x[torch.from_numpy(stream_order(y.numpy(), alone, SEED + seed)[1])].split(1):
            each.step(image)
    found = rows_of(probed(watched))["tent"]
    assert found.collapses == np.mean([len(each.collapses) for each in adapted]) > 0
    assert found.checks == pytest.approx(np.mean([each.checks for each in adapted]) / len(y))
    assert "adaptation-collapsed" in codes(watched.summary)
    assert rows_of(probed(unwatched))["tent"].collapses == 0
    assert "adaptation-collapsed" not in codes(unwatched.summary)


def test_examples_are_drawn_and_one_order_has_no_deviation() -> None:
    found = probed(ran(step(Stream(), max_samples=20, seeds=1)))
    assert (found.images, found.seeds, found.streams[0].visits) == (20, 1, 20)
    assert rows_of(found)["tent"].top1_sd is None
    assert probed(ran(step(Stream(), max_samples=1000))).images == 45


def test_eata_takes_training_data_where_they_are_given() -> None:
    eata = EATA(optimizer=SGD(lr=0.5), entropy_share=1.0, redundancy=1.0, fisher_weight=1000.0)
    alone = ran(step(Stream(batch_size=8), methods=(eata,)))
    given = ran(step(Stream(batch_size=8), methods=(eata,)), training=[(2 * x, y) for x, y in examples(30, seed=5)])
    assert rows_of(probed(alone))["eata"].nll != rows_of(probed(given))["eata"].nll
    assert rows_of(probed(alone))["source"].nll == rows_of(probed(given))["source"].nll
    with pytest.raises(UsageError, match="no step of the recipe uses them"):
        ran(step(Stream()), training=examples(30))


def test_group_norm_weighs_examples_against_moments_of_the_calibration_half() -> None:
    model = warmed_up(grouped())
    found = rows_of(probed(ran(step(Stream(batch_size=9), methods=(IEW(alpha=0.8),)), copy.deepcopy(model))))
    steps = [SetAlpha(alpha=0.8), Measure(resamples=100)]
    measured = retrofit(model, Recipe(seed=SEED, steps=steps), data=examples(), batch_size=16).summary.measurement
    assert measured is not None
    assert found["iew"].nll == pytest.approx(measured.arm("alpha").metrics["nll"].value, rel=1e-5)
    assert found["source"].nll == pytest.approx(measured.arm("original").metrics["nll"].value, rel=1e-5)


@pytest.mark.parametrize("before", [SetAlpha(alpha=0.1), SearchAlpha()])
def test_what_cannot_be_adapted_is_said_before_the_first_pass(before: "SetAlpha | SearchAlpha") -> None:
    heard: list[object] = []
    with pytest.raises(ModelError, match="nothing to adapt to a stream"):
        ran(step(Stream(), methods=(PredictionTimeBN(),)), warmed_up(grouped()), progress=heard.append)
    with pytest.raises(UsageError, match=r"layer9\.\*"):
        ran(step(Stream(), methods=(Tent(sites=("layer9.*",)),)), progress=heard.append)
    steps = [before, step(Stream())]
    with pytest.raises(ModelError, match="does not weigh examples already"):
        retrofit(trained(), Recipe(steps=steps), data=examples(), progress=heard.append)
    assert heard == []


def test_progress_is_told_to_the_end() -> None:
    heard = []
    ran(step(Stream(batch_size=20), methods=(QUICK,), seeds=1), progress=heard.append)
    stages = list(dict.fromkeys(said.stage for said in heard))
    stages = [stage for stage in stages if not stage.startswith("input fit")]
    assert stages == ["adaptation, inputs as they are", "adaptation, stream 1 of 1, tent, order 1 of 1"]
    assert [(said.done, said.total) for said in heard if said.stage == stages[1]] == [(20, 45), (40, 45), (45, 45)]


def test_answers_that_are_no_number_are_wrong_and_have_no_nll() -> None:
    rows = np.arange(4)
    courses = [
        [Course(rows, np.ones(4), np.full(4, 0.5))],
        [Course(rows, np.eye(4)[0], np.array([0.5, *[np.nan] * 3]))],
    ]
    source, broken = method_scores([None, QUICK], courses, examples=4, resamples=100, seed=0)
    assert (source.nll, broken.nll, broken.top1, broken.segments) == (0.5, None, 0.25, (1, 0, 0, 0))
    assert broken.against_source is not None
    assert broken.against_source.value == -0.75
