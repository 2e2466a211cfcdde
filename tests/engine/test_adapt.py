"""The step ``adapt``: what is kept is what the method learns by hand, with statistics re-estimated for it."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate import Outcome, Recipe, deliver, open_model, retrofit
from calibrate.adapt import Adapted
from calibrate.data import Corrupted, open_data, split
from calibrate.data.stream_orders import stream_order
from calibrate.errors import DataError, ModelError, UsageError
from calibrate.recipe import Outputs
from calibrate.stats import reestimate
from calibrate.steps import (
    EATA,
    ETA,
    IEW,
    SAR,
    SGD,
    Adam,
    Adapt,
    CollapseRule,
    Domain,
    Measure,
    Method,
    SetAlpha,
    Stream,
    StreamLearning,
    Temperature,
    Tent,
)
from tests.builders.examples import calibration, examples, trained
from tests.builders.images import PIXELS, images, network
from tests.builders.networks import factory, grouped, warmed_up
from tests.builders.states import assert_untouched, snapshot

TENT = Tent(optimizer=Adam(lr=0.05))
QUICK = SGD(lr=0.1)
METHODS: tuple[Method, ...] = (
    TENT,
    ETA(optimizer=QUICK, entropy_share=1.0, redundancy=1.0),
    EATA(optimizer=QUICK, entropy_share=1.0, redundancy=1.0, fisher_images=20, fisher_weight=50.0),
    SAR(optimizer=QUICK, entropy_share=1.0, reset_below=0.0),
)
STREAMS = (
    Stream(batch_size=8),
    Stream(order="class_sorted", batch_size=15),
    Stream(order="recurring", cycles=2, batch_size=20),
    Stream(batch_size=1),
)
SEED = 3


def ran(*steps: object, model: nn.Module | None = None, **arguments: object) -> Outcome:
    recipe = Recipe.model_validate({"seed": SEED, "steps": steps})
    return retrofit(model or trained(), recipe, **{"data": examples(), "batch_size": 16, **arguments})


def kept_by_hand(adapted: Adapted, source: nn.Module, x: Tensor) -> nn.Module:
    """``source`` with what ``adapted`` has learned, and statistics of ``x`` for it."""
    model = copy.deepcopy(source)
    model.load_state_dict(adapted.model.state_dict())
    return reestimate(model, x.split(16))


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict())


def in_distribution(x: Tensor) -> "list[Tensor]":
    """Batches drawn at random, each in the order of the data."""
    drawn = np.random.Generator(np.random.PCG64(SEED)).permutation(len(x))
    return [x[np.sort(drawn[first : first + 16])] for first in range(0, len(x), 16)]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.title)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.kind)
def test_the_network_is_the_one_made_by_hand(method: Method, stream: Stream) -> None:
    outcome = ran(Adapt(method=method, stream=stream))
    x, labels = calibration(SEED)
    adapted = Adapted(trained(), method, in_distribution=in_distribution(x))
    _, rows = stream_order(labels, stream, SEED)
    for batch in x[torch.from_numpy(rows)].split(stream.batch_size):
        adapted.step(batch)
    assert_same_state(outcome.model, kept_by_hand(adapted, trained(), x))
    assert not torch.equal(outcome.model[4].bias, trained()[4].bias)
    assert [type(module) for module in outcome.model] == [type(module) for module in trained()]
    (kept,) = outcome.summary.of(StreamLearning)
    assert kept.learned == ("1.weight", "1.bias", "4.weight", "4.bias")
    assert (kept.method, kept.stream, kept.images, kept.reestimated) == (method, stream, len(x), True)


def test_domains_are_corrupted_for_learning_and_for_re_estimating() -> None:
    stream = Stream(order="mixed", domains=(Domain(), Domain(corruption="contrast", severity=5)), batch_size=8)
    recipe = Recipe(steps=[Adapt(method=TENT, stream=stream)])
    outcome = retrofit(network(), recipe, data=images(), preprocessing=PIXELS, batch_size=16)
    source = open_data(images(), preprocessing=PIXELS)
    rows = split(source.labels, 0).calibration
    made = [source, Corrupted(source, "contrast", 5, 0)]
    x = torch.stack([torch.cat([batch.inputs for batch in domain.batches(rows, 64)]) for domain in made])
    adapted = Adapted(network(), TENT)
    domains, places = map(torch.from_numpy, stream_order(source.labels[rows], stream, 0))
    for batch in x[domains, places].split(8):
        adapted.step(batch)
    assert_same_state(outcome.model, kept_by_hand(adapted, network(), x.flatten(0, 1)))
    assert outcome.summary.of(StreamLearning)[0].images == len(rows)


def test_only_the_matching_layers_learn_and_are_re_estimated() -> None:
    outcome = ran(Adapt(method=TENT.model_copy(update={"sites": ("4",)})))
    assert outcome.summary.of(StreamLearning)[0].learned == ("4.weight", "4.bias")
    before, after = trained().state_dict(), outcome.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"4.weight", "4.bias", "4.running_mean", "4.running_var"}


def test_two_runs_agree_and_the_caller_s_network_is_untouched() -> None:
    model = trained().train()
    before = snapshot(model)
    steps = [Adapt(method=TENT, stream=Stream(batch_size=8)), Temperature(), Measure(resamples=100)]
    first = ran(*steps, model=model)
    assert_untouched(model, before)
    assert first.summary.digest == ran(*steps).summary.digest
    assert all(module.training for module in first.model.modules())
    assert all(parameter.requires_grad for parameter in first.model.parameters())


def test_it_is_measured_as_tuned_against_the_temperature_alone() -> None:
    """A shift of all inputs, which statistics of them undo and T cannot."""
    steps = [Adapt(method=TENT, stream=Stream(batch_size=15)), Temperature(), Measure(resamples=100)]
    summary = ran(*steps, data=[(3 * x + 4, y) for x, y in examples()]).summary
    assert summary.measurement is not None
    assert [scores.arm for scores in summary.measurement.arms] == ["original", "T", "tuned", "tuned+T"]
    assert summary.verdict == "improved"


def test_iew_is_the_step_set_alpha() -> None:
    kept, set_ = (
        ran(step, Measure(resamples=100))
        for step in (Adapt(method=IEW(alpha=0.3, sites=("4",))), SetAlpha(alpha=0.3, sites=("4",)))
    )
    assert_same_state(kept.model, set_.model)
    assert kept.summary.measurement == set_.summary.measurement
    (said,) = kept.summary.of(StreamLearning)
    assert (said.images, said.learned, said.reestimated) == (0, (), False)
    grouped_ = ran(Adapt(method=IEW(alpha=0.7)), model=warmed_up(grouped()))
    assert_same_state(grouped_.model, ran(SetAlpha(alpha=0.7), model=warmed_up(grouped())).model)


def test_what_is_kept_is_shipped_and_reopens(tmp_path: Path) -> None:
    name = factory(trained)
    outcome = ran(Adapt(method=TENT, stream=Stream(batch_size=8)), architecture=name)
    delivery = deliver(outcome, trained(), tmp_path, Outputs(latency_runs=0))
    assert (delivery.problems, [item.format for item in delivery.summary.artifacts]) == ((), ["safetensors", "onnx"])
    reopened = open_model(tmp_path / "tuned.safetensors", name).model
    x, _ = calibration(SEED)
    assert torch.equal(reopened(x), outcome.model(x))


def test_collapses_are_counted() -> None:
    """One by one, images lose the brightness that is their class, and all are answered alike."""
    rule = CollapseRule(memory=4, checked=4, entropy_share=1.0)
    step = Adapt(method=TENT, stream=Stream(batch_size=1), collapse=rule)
    assert ran(step).summary.of(StreamLearning)[0].collapses > 0
    assert ran(step.model_copy(update={"collapse": None})).summary.of(StreamLearning)[0].collapses == 0


def test_labels_are_needed_where_they_make_the_order(tmp_path: Path) -> None:
    data = tmp_path / "bare.npz"
    np.savez(data, x=np.stack([x.numpy() for x, _ in examples()]))
    assert ran(Adapt(method=TENT), data=data).summary.of(StreamLearning)[0].images == 45
    for stream in (Stream(order="class_sorted"), Stream(order="correlated", concentration=0.1)):
        with pytest.raises(UsageError, match=f"has no labels, by which a stream in the order {stream.order}"):
            ran(Adapt(method=TENT, stream=stream), data=data)


def test_what_cannot_be_done_is_said_before_the_first_pass() -> None:
    heard: list[object] = []
    with pytest.raises(ModelError, match="nothing to adapt to a stream"):
        ran(Adapt(method=TENT), model=warmed_up(grouped()), progress=heard.append)
    with pytest.raises(ModelError, match="is float16"):
        ran(Adapt(method=TENT), model=trained().half(), progress=heard.append)
    for before in (SetAlpha(alpha=0.1), Adapt(method=IEW())):
        with pytest.raises(ModelError, match="does not weigh examples already"):
            ran(before, Adapt(method=TENT), progress=heard.append)
    with pytest.raises(DataError, match="cannot be corrupted"):
        ran(Adapt(method=TENT, stream=Stream(domains=(Domain(corruption="fog", severity=1),))), progress=heard.append)
    assert heard == []


def test_what_is_no_number_is_not_kept() -> None:
    """Where γ is so large that the logits overflow, so do the gradients."""
    model = trained()
    with torch.no_grad():
        model[1].weight.fill_(3e38)
    with pytest.raises(ModelError, match=r"after the stream 1\.weight is infinite or not a number"):
        retrofit(model, Recipe(seed=SEED, steps=[Adapt(method=TENT)]), data=examples())


def test_an_example_that_is_no_number_is_not_learned_from() -> None:
    x, _ = calibration(SEED)
    broken = [(image * torch.nan if torch.equal(image, x[0]) else image, y) for image, y in examples()]
    with pytest.raises(DataError, match="Nothing was learned from it"):
        ran(Adapt(method=TENT), data=broken)


def test_progress_is_told_to_the_end() -> None:
    heard = []
    ran(Adapt(method=TENT, stream=Stream(batch_size=20)), progress=heard.append)
    told = [(said.done, said.total) for said in heard if said.stage == "adapt"]
    assert told == [(20, 45), (40, 45), (45, 45)]
