"""A network takes from a file the weights that fill it, whatever wrapped them; what is left out is named."""

import copy
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.io import TakenWeights, cifar_resnet, fit_weights, load_weights_, read_checkpoint
from tests.builders.checkpoints import alone, load_
from tests.builders.networks import Residual, Tied, Wrapped, convolutional, warmed_up

State = dict[str, Tensor]


def trained(model: nn.Module, seed: int = 1) -> State:
    return {name: tensor.clone() for name, tensor in warmed_up(copy.deepcopy(model), seed).state_dict().items()}


def renamed(state: Mapping[str, Tensor], rename: Callable[[str], str]) -> State:
    return {rename(name): tensor for name, tensor in state.items()}


def under(prefix: str, state: Mapping[str, Tensor]) -> State:
    return renamed(state, lambda name: prefix + name)


def taken(document: Any, folder: Path, model: nn.Module, weights: str | None = None) -> TakenWeights:
    """What ``model`` takes of a file, after making sure that it loads."""
    torch.save(document, folder / "w.pth")
    found = fit_weights(model, read_checkpoint(folder / "w.pth"), weights)
    load_weights_(copy.deepcopy(model), found, folder / "w.pth", "my:net")
    return found


def same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


RESNET = cifar_resnet(8)
NETWORK, ANOTHER = trained(RESNET), trained(RESNET, 2)


def inside(part: str, word: str) -> Callable[[str], str]:
    """What wrapping the modules that match ``part`` does to names."""
    return lambda name: re.sub(part, rf"\g<0>{word}.", name)


@pytest.mark.parametrize("around", ["", "net.", "gnn.", "_model.", "model.net.", "a.b.c.d.", "conv1.", "layer1.0."])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda name: name,
        inside(r"^layer\d\.", "module"),
        inside(r"^layer\d\.\d\.", "_orig_mod"),
        inside(r"(?<![a-z])(conv|bn)\d\.", "_checkpoint_wrapped_module"),
        lambda name: "_fsdp_wrapped_module." + inside(r"^layer\d\.\d\.", "_fsdp_wrapped_module")(name),
        lambda name: inside(r"^layer2\.", "any.name")(inside(r"^layer1\.0\.", "other")(name)),
        inside(r"^layer3\.", "0"),
    ],
)
def test_wrappers_of_any_name_around_the_network_and_in_it(around: str, wrap: Callable[[str], str]) -> None:
    state = under(around, renamed(NETWORK, wrap))
    found = fit_weights(RESNET, alone(state))
    assert same(found.state, NETWORK)
    assert found.findings == ()


class Around(nn.Module):
    """What a user writes to get the logits alone, here around a network that is itself wrapped within."""

    def __init__(self) -> None:
        super().__init__()
        inner = Residual()
        inner.body = nn.ModuleDict({"compiled": inner.body})  # type: ignore[assignment]
        self.net = nn.Sequential(inner)


@pytest.mark.parametrize("around", ["", "module.", "model._orig_mod."])
def test_wrappers_in_the_network_that_the_file_lacks(around: str) -> None:
    state = trained(Residual())
    found = fit_weights(Around(), alone(under(around, state)))
    expected = renamed(state, lambda name: "net.0." + re.sub(r"^body\.", "body.compiled.", name))
    assert same(found.state, expected)
    found = fit_weights(Residual(), alone(expected))
    assert same(found.state, state)


@pytest.mark.parametrize("model", [Tied(), Wrapped(), convolutional(), nn.Linear(3, 2)])
def test_names_that_fit_stay(model: nn.Module) -> None:
    state = trained(model)
    for given in (state, under("model.", state), under("0.", state)):
        assert same(fit_weights(model, alone(given)).state, state)


LEFT_OUT: dict[str, tuple[dict[str, Any], str]] = {
    "class weights": ({"criterion.weight": torch.ones(10)}, "1 entry, criterion.weight"),
    "a metric": ({"acc.tp": torch.zeros(9).long(), "acc.fp": torch.zeros(9).long()}, r"2 entries, acc\.\* \(2\)"),
    "a perceptual loss": (
        {"loss.vgg.features.0.weight": torch.ones(4, 3, 3, 3)},
        "1 entry, loss.vgg.features.0.weight",
    ),
    "no tensors": ({"_extra_state": None, "note": "x", "model.fc._extra_state": 3.5}, "3 entries, _extra_state, note"),
    "a number for a name": ({7: torch.ones(1)}, "1 entry, 7"),
    "many": ({f"part{i}x.tp": torch.ones(1).int() for i in range(9)}, r"9 entries, part0x.tp, .*part4x.tp, \.\.\."),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_lies_outside_the_network_is_left_out_and_named(case: str, tmp_path: Path) -> None:
    entries, said = LEFT_OUT[case]
    found = taken({"state_dict": {**under("model.", NETWORK), **entries}, "epoch": 3}, tmp_path, RESNET)
    assert same(found.state, NETWORK)
    assert [(finding.code, finding.severity) for finding in found.findings] == [("entries-left-out", "info")]
    assert re.search(said, found.findings[0].message)


def test_what_lies_beside_the_parts_of_the_network_is_left_out_with_a_warning(tmp_path: Path) -> None:
    extra = {"scaler.weight": torch.ones(10), "step": torch.tensor(3)}
    found = taken({**NETWORK, **extra, "epoch": 3, "arch": "resnet8"}, tmp_path, RESNET)
    assert same(found.state, NETWORK)
    codes = {finding.code: (finding.severity, finding.message) for finding in found.findings}
    assert codes.keys() == {"entries-beside-network", "entries-left-out"}
    assert codes["entries-beside-network"][0] == "warning"
    assert "1 entry, scaler.weight" in codes["entries-beside-network"][1]
    assert "1 entry, step" in codes["entries-left-out"][1]


@pytest.mark.parametrize("prefix", ["", "model.", "any.thing."])
@pytest.mark.parametrize(
    "extra",
    ["layer1.1.conv1.weight", "layer4.0.conv1.weight", "bn1.scale", "conv2.weight", "layer1.0.shortcut.0.weight"],
)
def test_what_lies_inside_the_network_is_refused(prefix: str, extra: str, tmp_path: Path) -> None:
    state = under(prefix, {**NETWORK, extra: torch.ones(16)})
    with pytest.raises(ModelError, match=f"1 not in the network: {extra}"):
        taken({"state_dict": state}, tmp_path, RESNET)


def test_a_deeper_network_of_the_family_is_refused_and_named_under_any_prefix(tmp_path: Path) -> None:
    for prefix in ("", "module.", "gnn."):
        state = under(prefix, trained(cifar_resnet(14)))
        with pytest.raises(ModelError, match=r"not in the network: layer1\.1\..* fits cifar/resnet14 best"):
            taken(state, tmp_path, RESNET)


def test_a_wrapper_that_scales_is_no_wrapper(tmp_path: Path) -> None:
    state = renamed(NETWORK, inside(r"^layer1\.", "module"))
    assert same(taken({**state, "layer1.n_averaged": torch.tensor(3)}, tmp_path, RESNET).state, NETWORK)
    with pytest.raises(ModelError, match=r"1 not in the network: layer1\.gain"):
        taken({**state, "layer1.gain": torch.ones(16)}, tmp_path, RESNET)


@pytest.mark.parametrize("prefix", ["", "net.", "module.model."])
def test_a_missing_entry_is_refused(prefix: str, tmp_path: Path) -> None:
    state = under(prefix, {name: tensor for name, tensor in NETWORK.items() if name != "layer2.0.bn1.weight"})
    with pytest.raises(ModelError, match=r"1 missing from the file: layer2\.0\.bn1\.weight[.;]"):
        taken({"state_dict": {**state, "other.bn1.weight": torch.ones(32)}}, tmp_path, RESNET)


AVERAGED = {f"module.{name}": tensor for name, tensor in ANOTHER.items()} | {"n_averaged": torch.tensor(7)}
SEVERAL: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "timm": ({"state_dict_ema": ANOTHER, "state_dict": NETWORK}, "state_dict", ["state_dict_ema"]),
    "the average alone": ({"model_ema": NETWORK, "rng": torch.zeros(2)}, "model_ema", []),
    "torch's average": ({"ema": AVERAGED, "net": under("module.", NETWORK)}, "net.module", ["ema.module"]),
    "unfamiliar": ({"generator": {"x": torch.ones(1)}, "best_ever": NETWORK, "opt": {"a": 1}}, "best_ever", []),
    "deep": ({"a": {"b": {"c": NETWORK}}, "ema": {"state": {"shadow": ANOTHER}}}, "a.b.c", ["ema.state.shadow"]),
    "lightning": (
        {"callbacks": {"EMA{'decay': 0.9}": {"ema_weights": ANOTHER}}, "state_dict": under("model.", NETWORK)},
        "state_dict.model",
        ["callbacks.EMA{'decay': 0.9}.ema_weights"],
    ),
    "two in one": (
        {"state_dict": {**under("teacher.encoder.", ANOTHER), **under("student.encoder.", NETWORK)}},
        "state_dict.student.encoder",
        ["state_dict.teacher.encoder"],
    ),
    "beside its average": ({**NETWORK, **under("ema.", ANOTHER)}, "", ["ema"]),
    "an optimiser": (
        {"model": NETWORK, "optimizer": {"state": {"exp_avg": ANOTHER}, "param_groups": []}, "sch": ANOTHER},
        "model",
        ["sch"],
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_which_of_several_was_taken_is_said_and_can_be_chosen(case: str, tmp_path: Path) -> None:
    document, path, others = SEVERAL[case]
    found = taken(document, tmp_path, RESNET)
    assert (found.path, list(found.others)) == (path, others)
    assert same(found.state, NETWORK)
    said = [finding.message for finding in found.findings if finding.code == "weights-taken"]
    assert len(said) == (bool(others) or "ema" in path)
    assert all(other in said[0] for other in others)
    for other in others:
        chosen = taken(document, tmp_path, RESNET, other)
        assert (chosen.path, chosen.others) == (other, (path,))
        assert same(chosen.state, ANOTHER)
        again = taken(document, tmp_path, RESNET, path or ".")
        assert same(again.state, NETWORK)


def test_several_networks_of_a_safetensors_file_are_told_apart(tmp_path: Path) -> None:
    save_file({**under("ema.", ANOTHER), **under("model.", NETWORK)}, tmp_path / "w.safetensors")
    for weights, path, state in ((None, "model", NETWORK), ("ema", "ema", ANOTHER)):
        found = fit_weights(RESNET, read_checkpoint(tmp_path / "w.safetensors"), weights)
        assert found.path == path
        assert same(found.state, state)


@pytest.mark.parametrize(
    ("weights", "path"),
    [
        ("swa", "swa_model"),
        ("EMA", "ema.module"),
        ("module", "ema.module"),
        ("current", "current"),
        ("swa_model", "swa_model"),
    ],
)
def test_a_unique_part_of_a_path_chooses(weights: str, path: str, tmp_path: Path) -> None:
    document = {"current": NETWORK, "ema": AVERAGED, "swa_model": ANOTHER}
    assert taken(document, tmp_path, RESNET, weights).path == path


def test_a_part_that_names_none_or_several_is_refused_with_the_choices(tmp_path: Path) -> None:
    average = {name: tensor.clone() for name, tensor in AVERAGED.items()}
    document = {"model": NETWORK, "ema_1": ANOTHER, "swa": ANOTHER, "ema_2": average, "head": {"bias": torch.ones(2)}}
    with pytest.raises(
        UsageError, match=r"--weights best is not in .*choose one of: model, ema_2\.module, ema_1; also head, which"
    ):
        taken(document, tmp_path, RESNET, "best")
    assert taken(document, tmp_path, RESNET, "ema_1").path == "ema_1"
    with pytest.raises(UsageError, match=r"--weights ema_ names several .*\(ema_[12].*, ema_[12]"):
        taken(document, tmp_path, RESNET, "ema_")
    with pytest.raises(ModelError, match="missing from the file"):
        taken(document, tmp_path, RESNET, "head")
    with pytest.raises(UsageError, match=r"--weights nix names nothing in .*leave --weights out.* the file itself"):
        taken(NETWORK, tmp_path, RESNET, "nix")


def test_an_average_that_does_not_fit_is_named(tmp_path: Path) -> None:
    parameters = {name: tensor for name, tensor in ANOTHER.items() if "running" not in name}
    found = taken({"model": NETWORK, "ema": parameters}, tmp_path, RESNET)
    assert found.unfit == ("ema",)
    assert "averaged weights lie in ema, which do not fill" in found.findings[0].message


def test_quantised_tensors_are_refused_only_where_the_network_needs_them(tmp_path: Path) -> None:
    packed = {**NETWORK, "linear._packed_params": (torch.ones(1), None)}
    del packed["linear.weight"]
    with pytest.raises(ModelError, match=r"'linear\._packed_params' .* quantised"):
        taken(packed, tmp_path, RESNET)
    sparse = torch.eye(2).to_sparse()
    assert same(taken({"model": NETWORK, "graph": {"edges": sparse}}, tmp_path, RESNET).state, NETWORK)
    with pytest.raises(ModelError, match=r"'conv1\.weight' .* sparse_coo"):
        taken({**NETWORK, "conv1.weight": sparse}, tmp_path, RESNET)


@pytest.mark.parametrize(
    "names", [["a." * 5000 + "b"], [f"{i}.{i}.weight" for i in range(20_000)], ["." * 300, "", ".."]]
)
def test_hostile_names_are_refused_like_others(names: list[str]) -> None:
    with pytest.raises(ModelError, match="do not fit"):
        load_(cifar_resnet(8), alone(dict.fromkeys(names, torch.ones(1))))


class Gated(nn.Module):
    """A residual block around another, scaled by a number that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.fn, self.gate = nn.Linear(3, 3), nn.Parameter(torch.tensor(0.1))


class Nested(nn.Module):
    """A network of networks of its own kind."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        if depth:
            self.inner = Nested(depth - 1)


def test_a_wrapper_inside_that_scales_is_no_wrapper(tmp_path: Path) -> None:
    file = nn.Sequential(nn.Linear(3, 3), Gated())
    with pytest.raises(ModelError, match=r"not in the network: 1\.gate"):
        taken(file.state_dict(), tmp_path, nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))


@pytest.mark.parametrize("prefix", ["", "net."])
def test_a_network_of_nested_parts_is_none_of_fewer(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not in the network: inner\.inner\.linear"):
        taken(under(prefix, Nested(2).state_dict()), tmp_path, Nested(1))


def test_another_place_in_a_part_is_not_taken_for_it(tmp_path: Path) -> None:
    file = nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Sequential(nn.Linear(2, 2), nn.ReLU())})
    network = nn.ModuleDict({"stem": nn.Linear(2, 2), "head": nn.Sequential(nn.ReLU(), nn.Linear(2, 2))})
    with pytest.raises(ModelError, match=r"missing from the file: head\.1"):
        taken(file.state_dict(), tmp_path, network)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([NETWORK, {"param_groups": [], "state": {}}], "0"),
        ({"models": [NETWORK, ANOTHER]}, "models.0"),
        ({0: NETWORK, 1: ANOTHER}, "0"),
        (
            {"classy_state_dict": {"base_model": {"model": {"trunk": NETWORK}}}},
            "classy_state_dict.base_model.model.trunk",
        ),
    ],
)
def test_state_dicts_in_lists_and_deep_inside_are_found(document: Any, path: str, tmp_path: Path) -> None:
    found = taken(document, tmp_path, RESNET)
    assert found.path == path
    assert same(found.state, NETWORK)


def test_of_several_under_unusual_names_the_choice_is_a_warning(tmp_path: Path) -> None:
    severities = [
        [finding.severity for finding in taken(document, tmp_path, RESNET).findings]
        for document in ({"one": NETWORK, "two": ANOTHER}, {"model": NETWORK, "two": ANOTHER})
    ]
    assert severities == [["warning"], ["info"]]
