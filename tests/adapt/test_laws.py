"""What holds for every method that learns γ and β, over networks that are awkward in one way each."""

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from calibrate.adapt import Adapted, entropy
from calibrate.errors import ModelError, UsageError
from calibrate.steps import EATA, ETA, SAR, SGD, Adam, Method, Tent
from calibrate.surgery import Replacement, find_sites, place_
from tests.builders.networks import Mixed, Tied, convolutional, grouped, warmed_up

QUICK = SGD(lr=0.1)
METHODS: tuple[Method, ...] = (
    Tent(optimizer=Adam(lr=0.01)),
    ETA(optimizer=QUICK, entropy_share=1.0, redundancy=0.95),
    EATA(optimizer=QUICK, entropy_share=1.0, redundancy=0.95, fisher_weight=5.0, fisher_images=7),
    SAR(optimizer=QUICK, entropy_share=1.0, reset_below=0.01),
)
each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.kind)


def images(seed: int, count: int = 8, shape: Sequence[int] = (1, 6, 6)) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


STREAM = [images(seed) for seed in range(4)]
IN_DISTRIBUTION = [images(10, 4), images(11, 4)]


def at_work(source: nn.Module, method: Method, **options: Any) -> Adapted:
    """An adapted network that knows some in-distribution images."""
    return Adapted(source, method, in_distribution=IN_DISTRIBUTION, **options)


def pointed(model: nn.Module) -> nn.Module:
    """``model`` as if trained, with a last layer that gives answers of every entropy."""
    warmed_up(model)
    with torch.no_grad():
        list(model.parameters())[-2].mul_(6)
    return model


def through(adapted: Adapted, stream: Sequence[Tensor] = STREAM) -> list[Tensor]:
    return [adapted.step(x) for x in stream]


def course(adapted: Adapted, stream: Sequence[Tensor] = STREAM) -> list[Tensor]:
    """All that can be seen of a stream: its logits, then the network's state."""
    return through(adapted, stream) + [value.clone() for value in adapted.model.state_dict().values()]


def same(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@each_method
def test_a_reset_goes_back_to_the_first_bit_and_a_second_run_agrees(method: Method) -> None:
    adapted = at_work(pointed(convolutional()), method)
    first = course(adapted)
    adapted.reset()
    assert same(course(adapted), first)
    assert same(course(at_work(pointed(convolutional()), method)), first)
    assert not same(course(adapted), first)  # without a reset it goes on learning


@each_method
def test_episodic_is_a_reset_before_each_batch(method: Method) -> None:
    model = pointed(convolutional())
    alone = [at_work(model, method).step(x) for x in STREAM]
    assert same(through(Adapted(model, method, in_distribution=IN_DISTRIBUTION, episodic=True)), alone)
    assert not same(through(at_work(model, method)), alone)


@each_method
def test_only_gamma_and_beta_change_and_the_source_does_not(method: Method) -> None:
    source = pointed(convolutional())
    source.train()
    before = copy.deepcopy(source.state_dict())
    adapted = at_work(source, method)
    through(adapted)
    assert adapted.learned == ("1.weight", "1.bias", "4.weight", "4.bias")
    assert adapted.keeps == "re-estimation"
    after = adapted.model.state_dict()
    assert after.keys() == before.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(adapted.learned)
    assert all(torch.equal(before[name], value) for name, value in source.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in source.parameters())
    assert all(module.training for module in source.modules())
    assert {name for name, parameter in adapted.model.named_parameters() if parameter.requires_grad} == set(
        adapted.learned
    )


@each_method
def test_sites_say_which_layers_learn_and_normalise_by_the_batch(method: Method) -> None:
    adapted = Adapted(
        pointed(convolutional()), method.model_copy(update={"sites": ("4",)}), in_distribution=IN_DISTRIBUTION
    )
    assert adapted.learned == ("4.weight", "4.bias")
    assert type(adapted.model[1]) is nn.BatchNorm2d
    assert not same(course(adapted), course(at_work(pointed(convolutional()), method)))
    with pytest.raises(UsageError, match=r"layer4\.\*"):
        at_work(convolutional(), method.model_copy(update={"sites": ("layer4.*",)}))


@each_method
def test_the_first_answers_are_those_of_the_batch_statistics(method: Method) -> None:
    model = pointed(convolutional())
    by_batch = copy.deepcopy(model)
    for site in find_sites(by_batch):
        site.module.train()
    torch.testing.assert_close(at_work(model, method).step(STREAM[0]), by_batch(STREAM[0]).detach())


@each_method
def test_dropout_stays_off(method: Method) -> None:
    with_dropout, without = pointed(Mixed()), pointed(Mixed())
    without.dropout = nn.Identity()
    courses = []
    for seed, model in enumerate((with_dropout, with_dropout.train(), without)):
        torch.manual_seed(seed)
        courses.append(course(at_work(model, method)))
    assert same(courses[0], courses[1])
    assert same(courses[0], courses[2])


@each_method
def test_a_layer_with_two_names_learns_once(method: Method) -> None:
    source = pointed(Tied())
    adapted = at_work(source, method)
    through(adapted)
    assert adapted.learned == ("norm.weight", "norm.bias")
    state = adapted.model.state_dict()
    assert torch.equal(state["norm.weight"], state["again.norm.weight"])
    assert not torch.equal(state["norm.weight"], source.norm.weight)


@each_method
@pytest.mark.parametrize("shape", [(5,), (1, 6, 6)], ids=["vectors", "maps"])
@pytest.mark.parametrize("count", [1, 8])
def test_vectors_and_single_examples(method: Method, shape: tuple[int, ...], count: int) -> None:
    vectors = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))
    model = pointed(vectors if len(shape) == 1 else convolutional())
    in_distribution = [images(10, 4, shape)]
    for logits in course(
        Adapted(model, method, in_distribution=in_distribution), [images(seed, count, shape) for seed in range(4)]
    ):
        assert logits.isfinite().all()


@each_method
def test_layers_without_gamma_and_beta_normalise_by_the_batch_all_the_same(method: Method) -> None:
    model = pointed(convolutional())
    model[1] = warmed_up(nn.BatchNorm2d(4, affine=False))
    adapted = at_work(model, method)
    assert adapted.learned == ("4.weight", "4.bias")
    assert not same(
        course(adapted),
        course(at_work(model, method.model_copy(update={"sites": ("4",)}))),
    )
    model[4] = nn.BatchNorm2d(8, affine=False).eval()
    with pytest.raises(ModelError, match="affine=False"):
        at_work(model, method)


@each_method
def test_layers_that_activate_go_on_doing_so(method: Method) -> None:
    plain = pointed(convolutional())
    activating = copy.deepcopy(plain)
    for at in (1, 4):
        layer = BatchNormAct2d(plain[at].num_features)
        layer.load_state_dict(plain[at].state_dict())
        activating[at], activating[at + 1] = layer.eval(), nn.Identity()
    assert same(
        through(at_work(activating, method)),
        through(at_work(plain, method)),
    )


@each_method
def test_bfloat16_learns_in_float32_and_float16_is_refused(method: Method) -> None:
    model = pointed(convolutional())
    in_distribution = [images(10, 4).bfloat16()]
    adapted = Adapted(copy.deepcopy(model).bfloat16(), method, in_distribution=in_distribution)
    tiny = adapted.model.state_dict()["1.weight"].clone()
    logits = through(adapted, [x.bfloat16() for x in STREAM])
    learned = adapted.model.state_dict()["1.weight"]
    assert learned.dtype == torch.float32
    assert not torch.equal(learned, tiny)
    assert all(answer.dtype == torch.bfloat16 and answer.isfinite().all() for answer in logits)
    assert adapted.model.state_dict()["1.running_mean"].dtype == torch.bfloat16
    with pytest.raises(ModelError, match="float16"):
        Adapted(model.half(), method, in_distribution=in_distribution)


@each_method
@pytest.mark.parametrize("build", [grouped, lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 3))])
def test_a_network_without_batch_norm_explains_itself(method: Method, build: Callable[[], nn.Module]) -> None:
    with pytest.raises(ModelError, match="no matching BatchNorm layer that keeps running statistics"):
        at_work(build(), method)


@each_method
@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_it_learns_where_gradients_are_off(method: Method, around: Callable[[], torch.no_grad]) -> None:
    expected = course(at_work(pointed(convolutional()), method))
    with around():
        adapted = at_work(pointed(convolutional()), method)
        adapted.step(STREAM[1])
        adapted.reset()
        found = course(adapted, [x.clone() for x in STREAM])
    assert same(found, expected)
    assert not any(logits.requires_grad for logits in found)


@pytest.mark.parametrize("in_distribution", [(), []])
def test_eata_asks_for_images_of_the_source(in_distribution: Iterable[Tensor]) -> None:
    with pytest.raises(UsageError, match="was given none"):
        Adapted(convolutional(), EATA(), in_distribution=in_distribution)


def test_the_tally_counts_on_over_resets() -> None:
    adapted = Adapted(pointed(convolutional()), Tent(steps=3), in_distribution=IN_DISTRIBUTION, episodic=True)
    through(adapted)
    assert (adapted.tally.forward, adapted.tally.backward, adapted.tally.resets) == (12, 12, 0)


def test_the_batch_layer_agrees_with_its_formula_where_it_takes_torchs_kernel() -> None:
    x = 50 + 3 * images(0, 6, (4, 5)).transpose(1, 2)
    norm = warmed_up(nn.BatchNorm1d(5)).double()
    layer = place_(nn.Sequential(norm), {"0": Replacement("BatchWeighedBatchNorm", {})})
    wide = x.double()
    centred = wide - wide.mean((0, 2), keepdim=True)
    expected = centred / (centred.square().mean((0, 2), keepdim=True) + norm.eps).sqrt()
    expected = expected * norm.weight[:, None] + norm.bias[:, None]
    torch.testing.assert_close(layer(wide), expected)
    torch.testing.assert_close(layer.float()(x), expected.float(), rtol=1e-5, atol=1e-5)


def test_entropy_of_half_precision_is_taken_in_float32() -> None:
    logits = (20 * images(0, 4, (7,))).bfloat16()
    assert torch.equal(entropy(logits), entropy(logits.float()))
