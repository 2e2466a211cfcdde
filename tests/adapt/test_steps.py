"""Each method's steps equal a float64 reference that is written from the formulas."""

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrate.adapt import Adapted
from calibrate.steps import EATA, ETA, SAR, SGD, Adam, Method, Tent
from tests.adapt import reference
from tests.adapt.reference import CLASSES, Array, Course, Network

STREAM = list(np.random.default_rng(100).normal(size=(6, 12, 5)))
SOURCE = list(np.random.default_rng(200).normal(size=(3, 6, 5)))
QUICK = SGD(lr=0.1, momentum=0.8)


def quick() -> reference.Update:
    return reference.sgd(0.1, 0.8)


def compare(
    net: Network, method: Method, course: Course, source: list[Tensor] | None = None
) -> tuple[Adapted, list[int]]:
    """Go through the stream with both; how many examples the reference learned from, batch by batch."""
    in_distribution = () if source is None else source
    adapted = Adapted(net.torch(), method, in_distribution=in_distribution)
    learned_from = []
    for x, (answer, theta, kept) in zip(STREAM, course, strict=True):
        logits = adapted.step(torch.from_numpy(x))
        np.testing.assert_allclose(logits.numpy(), answer, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(values(adapted), theta, rtol=1e-6, atol=1e-7)
        learned_from.append(kept)
    return adapted, learned_from


def values(adapted: Adapted) -> Array:
    state = adapted.model.state_dict()
    return torch.cat([state[name] for name in adapted.learned]).numpy()


@pytest.mark.parametrize("steps", [1, 3])
def test_tent(steps: int) -> None:
    net = Network()
    compare(
        net,
        Tent(optimizer=Adam(lr=0.01), steps=steps),
        reference.tent(net, STREAM, reference.adam(0.01), steps),
    )
    compare(net, Tent(optimizer=QUICK, steps=steps), reference.tent(net, STREAM, quick(), steps))


def test_eta() -> None:
    net = Network()
    method = ETA(optimizer=QUICK, entropy_share=0.6, redundancy=0.8, decay=0.7)
    _, kept = compare(net, method, reference.eta(net, STREAM, quick(), 0.6, 0.8, 0.7))
    assert all(0 < count < 12 for count in kept)


def test_eta_learns_nothing_from_a_batch_of_which_it_keeps_nothing() -> None:
    net = Network(2)
    method = ETA(optimizer=QUICK, entropy_share=0.6, redundancy=0.8, decay=0.9)
    adapted, kept = compare(net, method, reference.eta(net, STREAM, quick(), 0.6, 0.8, 0.9))
    assert 0 in kept
    assert (adapted.tally.forward, adapted.tally.backward) == (6, sum(count > 0 for count in kept))


@pytest.mark.parametrize("images", [2000, 15, 6, 1])
def test_eata(images: int) -> None:
    net = Network()
    drawn = [batch[: max(0, images - 6 * i)] for i, batch in enumerate(SOURCE)]
    pull = 3.0 * reference.fisher(net, [batch for batch in drawn if len(batch)])
    method = EATA(
        optimizer=QUICK, entropy_share=0.6, redundancy=0.8, decay=0.7, fisher_weight=3.0, fisher_images=images
    )
    source = [torch.from_numpy(batch) for batch in SOURCE]
    adapted, _ = compare(net, method, reference.eta(net, STREAM, quick(), 0.6, 0.8, 0.7, pull), source)
    before = -(-min(images, 18) // 6)
    assert (adapted.tally.forward, adapted.tally.backward) == (6 + before, 6 + before)


@pytest.mark.parametrize("reset_below", [0.0, 0.54, 0.6, 10.0])
def test_sar(reset_below: float) -> None:
    net = Network()
    method = SAR(optimizer=QUICK, entropy_share=0.6, rho=0.3, reset_below=reset_below, decay=0.7)
    course = list(reference.sar(net, STREAM, quick, 0.6, 0.3, reset_below, 0.7))
    adapted, kept = compare(net, method, iter(course))
    reliable = (reference.entropies(net.logits(net.theta, STREAM[0])) < 0.6 * np.log(CLASSES)).sum()
    assert 0 < kept[0] < reliable  # both filters leave examples out
    resets = sum(np.array_equal(theta, net.theta) for _, theta, _ in course)
    assert (adapted.tally.forward, adapted.tally.backward, adapted.tally.resets) == (12, 12, resets)
    assert (reset_below == 0) == (resets == 0)


@pytest.mark.parametrize(("share", "sharp"), [(0.01, False), (0.4, True)])
def test_sar_learns_nothing_from_a_batch_of_which_it_keeps_nothing(share: float, sharp: bool) -> None:
    net = Network()
    method = SAR(optimizer=QUICK, entropy_share=share, rho=0.6)
    adapted, kept = compare(net, method, reference.sar(net, STREAM, quick, share, 0.6, 0.2, 0.9))
    assert not any(kept)
    assert (adapted.tally.forward > 6) == (adapted.tally.backward > 0) == sharp


ETA_BASE = {"optimizer": QUICK, "entropy_share": 0.6, "redundancy": 0.8, "decay": 0.7}
BASES: dict[str, Method] = {
    "tent": Tent(optimizer=QUICK),
    "eta": ETA(**ETA_BASE),
    "eata": EATA(**ETA_BASE, fisher_images=12),
    "sar": SAR(optimizer=QUICK, entropy_share=0.6, rho=0.3, reset_below=0.54, decay=0.7),
}
CHANGES: dict[str, dict[str, object]] = {
    "tent": {"steps": 2},
    "eta": {"entropy_share": 0.5, "redundancy": 0.7, "decay": 0.1},
    "eata": {"entropy_share": 0.5, "redundancy": 0.7, "decay": 0.1, "fisher_weight": 2.0, "fisher_images": 11},
    "sar": {"entropy_share": 0.5, "rho": 0.2, "reset_below": 0.5, "decay": 0.0},
}
OPTIMIZERS = (Adam(lr=0.1), Adam(lr=0.01), SGD(lr=0.05, momentum=0.8), SGD(lr=0.1, momentum=0.7))


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [(kind, field, value) for kind, changes in CHANGES.items() for field, value in changes.items()]
    + [(kind, "optimizer", value) for kind in CHANGES for value in OPTIMIZERS],
)
def test_every_hyper_parameter_matters(kind: str, field: str, value: object) -> None:
    def after(method: Method) -> Array:
        adapted = Adapted(Network().torch(), method, in_distribution=[torch.from_numpy(x) for x in SOURCE])
        for x in STREAM:
            adapted.step(torch.from_numpy(x))
        return values(adapted)

    method = BASES[kind]
    assert set(CHANGES[kind]) == set(type(method).model_fields) - {"kind", "sites", "optimizer"}
    assert abs(after(method) - after(method.model_copy(update={field: value}))).max() > 1e-4
