"""Placement: which layers are meant, what becomes of them, and what stays."""

import copy
from collections import Counter
from functools import cache
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.export import check_parity, to_onnx
from calibrate.io import cifar_resnet
from calibrate.nn import LAYERS, ExampleWeighedBatchNorm, InputBatchNorm, StochNorm
from calibrate.surgery import (
    Replacement,
    batch_norms,
    evaluating,
    every_odd,
    find_blocks,
    find_sites,
    four_things,
    gnbn,
    ibn_a,
    ibn_b_,
    in_blocks,
    initialize_,
    place_,
    prepend_input_batch_norm_,
    select,
    stem,
    weigh_examples_,
    xbn,
)
from tests.builders.networks import Mixed, Tied, Wrapped, convolutional, warmed_up

timm = pytest.importorskip("timm")

STOCH = Replacement("StochNorm", {"p": 0.5})


def on_meta(name: str) -> nn.Module:
    """A network of torchvision or timm without memory for its weights."""
    library, _, architecture = name.partition("/")
    quick = {"init_weights": False} if architecture == "inception_v3" and library == "torchvision" else {}
    with torch.device("meta"):
        if library == "timm":
            return timm.create_model(architecture)
        return torchvision.models.get_model(architecture, **quick)


@cache
def resnet_50() -> nn.Module:
    """To look at, not to change."""
    return on_meta("torchvision/resnet50")


def kinds(model: nn.Module) -> Counter[str]:
    return Counter(type(site.module).__name__ for site in find_sites(model))


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_resnet_50_xbn_p2_counts() -> None:
    model = on_meta("torchvision/resnet50")
    placement = xbn(model)
    assert place_(model, placement) is model
    assert kinds(model) == {"BatchNorm2d": 36, "GroupNorm": 17}
    assert parameters(model) == 25_557_032
    assert {model.get_submodule(name).num_groups for name in placement} == {64}


def test_resnet_50_xbn_p2_with_instance_norm_counts() -> None:
    model = on_meta("torchvision/resnet50")
    place_(model, xbn(model, layer="InstanceNorm"))
    assert kinds(model) == {"BatchNorm2d": 36, "GroupNorm": 17}
    assert parameters(model) == 25_549_352


@pytest.mark.parametrize("name", ["torchvision/mobilenet_v2", "timm/mobilenetv2_100"])
def test_mobilenet_xbn_p2_counts(name: str) -> None:
    model = on_meta(name)
    before = kinds(model)
    place_(model, xbn(model, num_groups=16, with_stem=False))
    after = kinds(model)
    assert (before.total(), after["GroupNorm"], after.total() - after["GroupNorm"]) == (52, 17, 35)
    assert parameters(model) == 3_504_872


@pytest.mark.parametrize(
    ("name", "blocks", "residual", "stages"),
    [
        ("torchvision/resnet18", 8, 8, 4),
        ("torchvision/resnext50_32x4d", 16, 16, 4),
        ("torchvision/mobilenet_v2", 17, 10, 1),
        ("timm/resnet50", 16, 16, 4),
        ("timm/resnext50_32x4d", 16, 16, 4),
        ("timm/mobilenetv2_100", 17, 10, 7),
        ("timm/resnetv2_50", 16, 16, 4),
    ],
)
def test_blocks_are_found_by_what_they_call(name: str, blocks: int, residual: int, stages: int) -> None:
    found = find_blocks(on_meta(name))
    assert (len(found), sum(block.residual for block in found)) == (blocks, residual)
    assert len({block.stage for block in found}) == stages
    assert not any("downsample" in site for block in found for site in block.sites)


def test_a_functional_shortcut_is_an_addition_too() -> None:
    assert [block.residual for block in find_blocks(cifar_resnet(8))] == [True] * 3


class Shuffled(nn.Module):
    """A block whose parts are defined in another order than they are called, with an odd name for its shortcut."""

    def __init__(self, branches: bool = False) -> None:
        super().__init__()
        self.branches = branches
        self.zebra = nn.BatchNorm2d(4)
        self.main3 = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.apple, self.mango = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        if self.branches:
            return torch.cat([self.mango(x), self.apple(x)], 1) + torch.cat([self.zebra(x)] * 2, 1)
        return torch.relu(self.main3(x) + self.zebra(torch.relu(self.apple(self.mango(x)))))


def test_positions_are_those_of_the_calls_not_of_names() -> None:
    (block,) = find_blocks(nn.Sequential(nn.BatchNorm2d(4), Shuffled()))
    assert block.sites == ("1.mango", "1.apple", "1.zebra")
    assert block.residual


@pytest.mark.parametrize(
    "model",
    [nn.Sequential(Shuffled(branches=True)), convolutional(), nn.Linear(2, 2)],
    ids=["parallel branches", "chain", "no layers"],
)
def test_a_network_without_residual_blocks_is_explained(model: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"no residual blocks .* place layers by name"):
        find_blocks(model)


@pytest.mark.parametrize(
    "name", ["torchvision/vgg11_bn", "timm/vgg11_bn", "torchvision/inception_v3", "timm/inception_v3"]
)
def test_networks_without_residual_blocks_take_layers_by_name_and_parity(name: str) -> None:
    model = on_meta(name)
    total = len(find_sites(model))
    with pytest.raises(ModelError, match="no residual blocks"):
        xbn(model)
    assert len(every_odd(model)) == (total + 1) // 2
    place_(model, dict.fromkeys(batch_norms(model), STOCH))
    assert kinds(model) == {"StochNorm": total}


def test_a_block_that_looks_at_its_data_is_explained() -> None:
    class Looking(Shuffled):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum() > 0 else x

    with pytest.raises(ModelError, match=r"Looking\) calls depends on its data"):
        find_blocks(nn.Sequential(Looking()))


@pytest.mark.parametrize(
    ("position", "every", "expected"),
    [
        (
            "first",
            4,
            ["layer2.0.bn1", "layer3.0.bn1", "layer3.4.bn1", "layer4.2.bn1"],
        ),
        ("last", 8, ["layer3.0.bn3", "layer4.2.bn3"]),
    ],
)
def test_every_kth_block_counts_from_1(position: Any, every: int, expected: list[str]) -> None:
    """ResNet-50's stages have 3, 4, 6, 3 blocks."""
    assert list(in_blocks(resnet_50(), position, every)) == expected


@pytest.mark.parametrize(("every", "layers"), [(1, 16), (2, 8), (4, 4), (8, 2)])
@pytest.mark.parametrize(("position", "number"), [("P1", 1), ("P2", 2), ("P3", 3)])
def test_xbn_positions_and_distances(position: Any, number: int, every: int, layers: int) -> None:
    placement = xbn(resnet_50(), position, every)
    assert Counter(name.rpartition(".")[2] for name in placement) == Counter({f"bn{number}": layers}) + Counter(
        {"bn1": 1}
    )


def test_in_a_block_of_two_p1_and_p2_are_the_first_and_p3_the_second() -> None:
    model = on_meta("torchvision/resnet18")
    first, second, third = (set(xbn(model, position, with_stem=False)) for position in ("P1", "P2", "P3"))
    assert first == second == set(in_blocks(model, "first"))
    assert third == set(in_blocks(model, "second")) == set(in_blocks(model, "last"))


@pytest.mark.parametrize(
    ("choose", "error", "message"),
    [
        (
            lambda model: in_blocks(model, "third"),
            UsageError,
            "layer1.0 has 2 normalisation layers, so none is the third",
        ),
        (
            lambda model: in_blocks(model, "first", 9),
            UsageError,
            "every is 9, .* 8 residual blocks; give a number from 1 to 8",
        ),
        (lambda model: in_blocks(model, "first", 0), UsageError, "every is 0"),
        (lambda model: batch_norms(model, ["layer9.*"]), UsageError, "'layer9.\\*' matches none"),
        (lambda model: four_things(model, 0), UsageError, "batch_size is 0"),
        (
            lambda model: place_(model, {"layer1.0.bn7": STOCH}),
            UsageError,
            "no normalisation layer 'layer1.0.bn7', but",
        ),
        (
            lambda model: place_(model, {"bn1": Replacement("StochNrm")}),
            UsageError,
            "no layer 'StochNrm', but 'StochNorm'",
        ),
        (
            lambda model: place_(model, {"bn1": Replacement("StochNorm", {"q": 1})}),
            UsageError,
            "StochNorm has no setting 'q'.*; it has p: float = 0.5",
        ),
        (
            lambda model: place_(model, {"bn1": Replacement("StochNorm", {"p": 2})}),
            UsageError,
            "bn1 .64 channels.: p is 2",
        ),
        (
            lambda model: place_(model, {"bn1": Replacement("GroupNorm", {"num_groups": 7})}),
            UsageError,
            "bn1 .64 channels.",
        ),
        (lambda model: place_(model, {"bn1": Replacement("GhostBatchNorm")}), UsageError, "missing .* 'ghost_size'"),
        (lambda model: place_(model, {"bn1": Replacement("InputBatchNorm")}), UsageError, "prepend_input_batch_norm_"),
    ],
)
def test_what_cannot_be_placed_is_explained_and_nothing_is_changed(choose: Any, error: Any, message: str) -> None:
    model = on_meta("torchvision/resnet18")
    before = list(model.modules())
    with pytest.raises(error, match=message):
        choose(model)
    assert all(a is b for a, b in zip(model.modules(), before, strict=True))


def test_all_layers_are_placed_or_none() -> None:
    model = convolutional()
    with pytest.raises(UsageError, match=r"4 \(8 channels\)"):
        place_(model, {"1": STOCH, "4": Replacement("GroupNorm", {"num_groups": 3})})
    assert kinds(model) == {"BatchNorm2d": 2}


def test_layers_that_may_do_more_are_not_replaced() -> None:
    model = Mixed()
    assert batch_norms(model) == ("maps", "point", "vector", "batch_only")
    with pytest.raises(ModelError, match="act is a NormAct, which may do something else"):
        place_(model, {"act": STOCH})
    with pytest.raises(UsageError, match=r"batch_only .* no running statistics"):
        place_(model, {"batch_only": STOCH})


@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"InputBatchNorm"}))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_what_stays(name: str, dtype: torch.dtype) -> None:
    """γ, β and statistics themselves, modes, precision, momentum, eps, ties, and the state dict's keys."""
    model = warmed_up(Tied()).to(dtype)
    model.norm.momentum, model.norm.eps = None, 1e-3
    model.norm.train()
    old, keys = model.norm, model.state_dict().keys()
    settings = {"GhostBatchNorm": {"ghost_size": 2}, "InstanceNorm": {"scaled": True}}.get(name, {})
    assert place_(model, {"norm": Replacement(name, settings)}) is model
    new: Any = model.norm
    assert model.again["norm"] is new
    assert new is not old
    assert new.weight is old.weight
    assert new.bias is old.bias
    assert new.eps == old.eps
    assert new.training
    assert not model.training
    assert {
        tensor.dtype for key, tensor in new.state_dict().items() if key not in ("num_batches_tracked", "alpha")
    } == {dtype}
    if name not in ("GroupNorm", "InstanceNorm"):
        assert model.state_dict().keys() >= keys
        assert new.running_mean is old.running_mean
        assert new.running_var is old.running_var
        assert new.momentum is None


def test_a_pretrained_network_s_answers_stay_until_it_trains() -> None:
    """StochNorm starts from the pretrained statistics; a fresh start is ``reset_running_stats``."""
    model = warmed_up(cifar_resnet(8))
    x = torch.randn(3, 3, 16, 16)
    plain = model(x)
    place_(model, dict.fromkeys(batch_norms(model), STOCH))
    assert torch.equal(model(x), plain)
    model.train()(x)
    assert not torch.equal(model.eval()(x), plain)
    model.bn1.reset_running_stats()
    assert model.bn1.running_mean.tolist() == [0.0] * 16
    assert model.bn1.running_var.tolist() == [1.0] * 16


def test_a_layer_that_also_activates_goes_on_doing_so() -> None:
    model = warmed_up(nn.Sequential(timm.layers.BatchNormAct2d(4, act_layer=nn.PReLU, drop_layer=nn.Dropout)))
    x, keys = torch.randn(3, 4, 5, 5), list(model.state_dict())
    plain = model(x)
    place_(model, {"0": STOCH})
    assert isinstance(model[0], StochNorm)
    assert list(model.state_dict()) == keys
    assert torch.equal(copy.deepcopy(model)(x), plain)
    place_(model, {"0": Replacement("GhostBatchNorm", {"ghost_size": 2})})
    assert torch.equal(model(x), plain)
    weigh_examples_(model, select(find_sites(model), ("*",)), 0.0)
    assert isinstance(model[0], ExampleWeighedBatchNorm)
    assert torch.equal(model(x), plain)


def test_a_network_trained_otherwise_weighs_examples_afterwards() -> None:
    model = warmed_up(convolutional())
    weighed = copy.deepcopy(model)
    weigh_examples_(weighed, select(find_sites(weighed), ("*",)), 0.2)
    place_(model, four_things(model, 128))
    weigh_examples_(model, select(find_sites(model), ("*",)), 0.2)
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(model(x), weighed(x))


def test_gnbn_is_every_odd_layer() -> None:
    model = nn.Sequential(*(nn.BatchNorm1d(8) for _ in range(5)))
    place_(model, gnbn(model))
    assert [type(layer).__name__ for layer in model] == ["GroupNorm", "BatchNorm1d"] * 2 + ["GroupNorm"]
    assert model[0].num_groups == 4


def test_ibn_a_is_the_first_layer_of_each_block_but_the_last_stage_s() -> None:
    model = on_meta("torchvision/resnet50")
    placement = ibn_a(model)
    assert list(placement) == [
        f"layer{stage}.{block}.bn1" for stage, n in ((1, 3), (2, 4), (3, 6)) for block in range(n)
    ]
    place_(model, placement)
    assert kinds(model) == {"BatchNorm2d": 53 - 13, "InstanceBatchNorm": 13}
    assert parameters(model) == parameters(on_meta("torchvision/resnet50"))


def test_ibn_b_normalises_after_the_addition_and_before_the_activation() -> None:
    model = warmed_up(torchvision.models.resnet18(num_classes=3))
    model.layer1[1].bn2.train()
    reference = copy.deepcopy(model)
    modes = {name: module.training for name, module in model.named_modules()}
    assert ibn_b_(model) is model
    new = {f"layer{stage}.1.instance_norm.{part}" for stage in (1, 2) for part in ("weight", "bias")}
    stem_statistics = {"bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked"}
    assert model.state_dict().keys() == reference.state_dict().keys() - stem_statistics | new
    assert {name: modes.get(name, False) for name, _ in model.named_modules()} == {
        name: module.training for name, module in model.named_modules()
    }

    def block(module: Any, x: Tensor) -> Tensor:
        y = module.bn2(module.conv2(torch.relu(module.bn1(module.conv1(x)))))
        shortcut = x if module.downsample is None else module.downsample(x)
        return torch.relu(nn.functional.instance_norm(y + shortcut, eps=1e-5))

    x = torch.randn(2, 3, 64, 64)
    with evaluating(model), evaluating(reference), torch.no_grad():
        y = reference.conv1(x)
        y = nn.functional.instance_norm(y, weight=reference.bn1.weight, bias=reference.bn1.bias)
        y = reference.layer1[0](reference.maxpool(torch.relu(y)))
        y = reference.layer2[0](block(reference.layer1[1], y))
        y = reference.layer4(reference.layer3(block(reference.layer2[1], y)))
        expected = reference.fc(reference.avgpool(y).flatten(1))
        torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(copy.deepcopy(model)(x), expected, rtol=1e-4, atol=1e-4)


def test_ibn_b_keeps_the_modes_of_a_shortcut_s_parts() -> None:
    """With one block a stage, stage 2's has a shortcut in a container."""
    model = torchvision.models.resnet.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1]).eval()
    model.layer2[0].downsample[1].train()
    modes = {name: module.training for name, module in model.named_modules()}
    ibn_b_(model)
    after = {name: module.training for name, module in model.named_modules() if not name.endswith("instance_norm")}
    assert after == {name: modes[name] for name in after}
    assert {"layer2.0.downsample", "layer2.0.downsample.1"} <= after.keys()
    assert not model.layer2[0].instance_norm.training


def test_ibn_b_needs_an_addition() -> None:
    model = on_meta("timm/mobilenetv2_100")
    before = kinds(model)
    with pytest.raises(ModelError, match=r"blocks\.0\.0, the last of its stage, does not add its input"):
        ibn_b_(model)
    assert kinds(model) == before


@pytest.mark.parametrize(
    ("batch_size", "layer", "settings"),
    [
        (1, "GroupNorm", {"num_groups": 32}),
        (2, "BatchGroupNorm", {"num_groups": 32, "examples_per_group": 2}),
        (8, "GhostBatchNorm", {"ghost_size": 8}),
        (128, "GhostBatchNorm", {"ghost_size": 16}),
    ],
)
def test_four_things_by_batch_size(batch_size: int, layer: str, settings: dict[str, int]) -> None:
    model = warmed_up(cifar_resnet(8)).train()
    placement = four_things(model, batch_size)
    assert set(placement) == set(batch_norms(model))
    assert set(map(repr, placement.values())) == {repr(Replacement(layer, settings))}
    place_(model, placement)
    model(torch.randn(batch_size, 3, 8, 8)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_the_stem_comes_before_the_first_block() -> None:
    assert stem(on_meta("torchvision/resnet50")) == ("bn1",)
    assert stem(on_meta("timm/resnet50d")) == ("conv1.1", "conv1.4", "bn1")


def test_initialise_sets_gamma_by_type_and_weights_by_fan_in() -> None:
    model = nn.Sequential(
        nn.Conv2d(16, 4096, 3), nn.BatchNorm2d(4096), nn.LayerNorm(7), nn.Conv2d(4096, 8, 1), nn.GroupNorm(2, 8)
    )
    warmed_up(model)
    kept = model[2].weight.clone()
    network = nn.ModuleDict({"body": model, "input_norm": InputBatchNorm(16)})
    assert initialize_(network, 0.1) is network
    for site in (model[1], model[4]):
        assert torch.equal(site.weight, torch.full_like(site.weight, 0.1))
        assert not site.bias.any()
    assert torch.equal(model[2].weight, kept)  # 1-D and named weight, and no batch or group normalisation
    assert network["input_norm"].weight.tolist() == pytest.approx([0.058] * 16)
    assert model[0].weight.std().item() == pytest.approx((2 / (16 * 9)) ** 0.5, rel=0.01)
    assert model[3].weight.std().item() == pytest.approx((2 / 4096) ** 0.5, rel=0.02)
    assert not model[0].bias.any()
    with pytest.raises(UsageError, match="gamma is 0"):
        initialize_(model, 0)


def test_the_prepended_layer_normalises_the_input_and_keeps_all_names() -> None:
    model = warmed_up(Wrapped()).train()
    reference, keys = copy.deepcopy(model), model.state_dict().keys()
    assert prepend_input_batch_norm_(model, 1, scale=0.5) is model
    added = model.state_dict().keys() - keys
    assert {name.partition(".")[0] for name in added} == {"input_norm"}
    assert parameters(model) == parameters(reference) + 1
    x = torch.randn(6, 1, 8, 8) * 40 + 100
    whitened = nn.functional.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(model(x), reference(whitened * 0.58 * 0.5), rtol=1e-4, atol=1e-4)
    assert isinstance(copy.deepcopy(model).eval().input_norm, InputBatchNorm)
    assert "input_norm" not in batch_norms(model)
    with pytest.raises(UsageError, match="has a module input_norm already"):
        prepend_input_batch_norm_(model, 1)
    with pytest.raises(UsageError, match=r"a torch\.nn\.Sequential, which calls every module"):
        prepend_input_batch_norm_(convolutional(), 1)


def test_every_layer_exports_in_evaluation_mode() -> None:
    """All in one network, some without positions too; what infers as BatchNorm is a BatchNormalization node."""
    settings: dict[str, dict[str, Any]] = {
        "GhostBatchNorm": {"ghost_size": 2},
        "BatchGroupNorm": {"num_groups": 2, "alpha": 0.2},
        "ExampleWeighedBatchNorm": {"alpha": 0.2},
    }
    on_maps = [name for name in LAYERS if name != "InputBatchNorm"]
    on_vectors = ["BatchGroupNorm", "RepresentativeBatchNorm", "BatchInstanceNorm"]
    maps = nn.Sequential(*(nn.BatchNorm2d(8) for _ in on_maps))
    vectors = nn.Sequential(*(nn.BatchNorm1d(8) for _ in on_vectors))
    for part, names in ((maps, on_maps), (vectors, on_vectors)):
        place_(part, {str(index): Replacement(name, settings.get(name, {})) for index, name in enumerate(names)})
    model = warmed_up(
        nn.Sequential(
            InputBatchNorm(1), nn.Conv2d(1, 8, 3), maps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), vectors, nn.Linear(8, 3)
        )
    )
    for module in model.modules():
        if hasattr(module, "alpha"):
            module.alpha = 0.2
    x = torch.randn(5, 1, 9, 9)
    graph = to_onnx(model, x[:2], {})
    check_parity(graph, model, [x[:1], x], "noise", 1)  # which raises where they disagree
    as_batch_norm = {"InputBatchNorm", "StochNorm", "GhostBatchNorm", "BatchRenorm", "ScaledAffineBatchNorm"}
    found = sum(node.op_type == "BatchNormalization" for node in graph.graph.node)
    assert found >= len(as_batch_norm) - 1  # one may be folded into the convolution
