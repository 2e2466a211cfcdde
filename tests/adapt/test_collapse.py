"""The collapse detector: what it calls a collapse, what it does not, and what the wrapper then does."""

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from calibrate.adapt import ADAPTERS, Adapted, Adapter, Keeps
from calibrate.adapt.collapse import CollapseDetector
from calibrate.steps import IEW, SGD, CollapseRule, Method, PredictionTimeBN, Tent

K = 4
RULE = CollapseRule(memory=20, checked=8)


class Drifting(Adapter[Tent]):
    """Learns, as Tent does when it collapses, to say class 0: its logit grows by ``pace`` with each batch."""

    keeps: ClassVar[Keeps] = "runtime"
    pace: ClassVar[float] = 2.0

    def prepare_(self) -> None:
        self.bias = torch.zeros(K)
        self.learned = {"bias": nn.Parameter(self.bias)}

    def step(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            logits: Tensor = self.model(x) + self.bias
        self.bias[0] += self.pace
        return logits


def network() -> nn.Module:
    """PredictionChanges the class whose column of its input is largest, and has a BatchNorm layer."""
    model = nn.Sequential(nn.BatchNorm1d(K), nn.Linear(K, K, bias=False)).eval()
    with torch.no_grad():
        model[1].weight.copy_(12 * torch.eye(K))
    return model


def of_classes(labels: Tensor, seed: int = 0) -> Tensor:
    noise = torch.randn(len(labels), K, generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(labels, K) + 0.1 * noise


def shuffled(n: int = 400, seed: int = 0) -> Tensor:
    return of_classes(torch.randint(K, (n,), generator=torch.Generator().manual_seed(seed)))


def ordered(n: int = 400) -> Tensor:
    return of_classes(torch.arange(K).repeat_interleave(n // K))


def run(adapted: Adapted, stream: Tensor, size: int = 8) -> list[Tensor]:
    return [adapted.step(x) for x in stream.split(size)]


@pytest.fixture
def _drifting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, Tent, Drifting)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_drifting")
class TestDrift:
    def test_is_reset_to_the_source_and_goes_on(self) -> None:
        stream = shuffled()
        adapted = Adapted(network(), Tent(), collapse=RULE)
        answers = run(adapted, stream)
        assert adapted.collapses
        assert adapted.checks >= len(adapted.collapses)
        plain = run(Adapted(network(), IEW(alpha=0)), stream)
        for images in adapted.collapses:
            assert images % 8 == 0
            if images < 400:
                torch.testing.assert_close(answers[images // 8], plain[images // 8])
            assert (answers[images // 8 - 1].argmax(1) == 0).float().mean() > 0.8

    def test_is_left_alone_where_told(self) -> None:
        for options in ({"collapse": None}, {"episodic": True, "collapse": RULE}):
            adapted = Adapted(network(), Tent(), **options)
            run(adapted, shuffled())
            assert (adapted.collapses, adapted.checks) == ((), 0)

    @pytest.mark.parametrize(
        "settings",
        [
            {"memory": 100_000},  # never forgets how it began
            {"share": 0.999},  # some answers are of other classes for long
            {"entropy_share": 1e-9},  # never that sure
            {"source_share": 0.01, "source_entropy": 0.0, "checked": 32},  # the source says class 0 too, now and then
        ],
        ids=str,
    )
    def test_each_setting_can_forbid_it(self, settings: dict[str, Any]) -> None:
        rule = RULE.model_copy(update=settings)
        adapted = Adapted(network(), Tent(), collapse=rule)
        run(adapted, shuffled()[:160])
        assert adapted.collapses == ()
        adapted = Adapted(network(), Tent(), collapse=RULE)
        run(adapted, shuffled()[:160])
        assert adapted.collapses

    def test_it_takes_the_images_that_the_rule_says_to_check(self) -> None:
        first = []
        for checked in (8, 40):
            adapted = Adapted(network(), Tent(), collapse=RULE.model_copy(update={"checked": checked}))
            run(adapted, shuffled())
            first.append(adapted.collapses[0])
        assert first[1] - first[0] == 32

    def test_resetting_by_hand_forgets_what_was_seen(self) -> None:
        stream = shuffled()[:160]
        adapted = Adapted(network(), Tent(), collapse=RULE)
        first = run(adapted, stream)
        collapses = adapted.collapses
        adapted.reset()
        assert all(torch.equal(*pair) for pair in zip(run(adapted, stream), first, strict=True))
        assert adapted.collapses == (*collapses, *(images + 160 for images in collapses))


@pytest.mark.usefixtures("_drifting")
@pytest.mark.parametrize("size", [1, 8, 50])
def test_a_stream_sorted_by_class_is_checked_and_no_collapse(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(Drifting, "pace", 0.0)
    adapted = Adapted(network(), Tent(), collapse=RULE)
    run(adapted, ordered(), size)
    assert adapted.collapses == ()
    assert adapted.checks > 0


@pytest.mark.parametrize("method", [PredictionTimeBN(), IEW(), Tent(optimizer=SGD(lr=1e-6))], ids=lambda one: one.kind)
def test_published_methods_on_a_sorted_stream_do_not_collapse(method: Method) -> None:
    adapted = Adapted(network(), method, collapse=RULE)
    run(adapted, ordered())
    assert adapted.collapses == ()


def test_answers_far_surer_than_the_source_s_have_collapsed_though_it_names_the_class_too() -> None:
    source = network()
    unsure = torch.tensor([[0.5, 0.0, 0.0, 0.0]]).repeat(8, 1)
    assert (source(unsure).argmax(1) == 0).all()
    for share, expected in ((0.2, True), (0.0, False)):
        detector = CollapseDetector(CollapseRule(memory=1, checked=8, source_entropy=share), source)
        assert detector.observe_(unsure / 9, 80 * unsure) is expected


def test_a_suspicion_that_changes_class_begins_a_new_check() -> None:
    """Every answer is of one class, but each class passes before enough images were checked."""
    source = network()
    detector = CollapseDetector(CollapseRule(memory=1, checked=24), source)
    wrong = ordered(32).roll(8, 0)
    for _ in range(10):
        for x, shown in zip(ordered(32).split(8), wrong.split(8), strict=True):
            assert not detector.observe_(x, source(shown))
    assert detector.passes == 40
    assert not detector.observe_(ordered(32)[:8], source(wrong[:8]))
    assert not detector.observe_(ordered(32)[:8], source(wrong[:8]))
    assert detector.observe_(ordered(32)[:8], source(wrong[:8]))
