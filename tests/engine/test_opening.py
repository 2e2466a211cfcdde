"""Opening: plain and tuned files, and what a stranger's file must not be able to do."""

import json
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch

from calibrate import PRESETS, Outputs, Recipe, deliver, open_model, retrofit
from calibrate.data import open_data, other_names, read_classes
from calibrate.engine import handing_on
from calibrate.errors import ModelError, UsageError
from calibrate.export import Provenance, tuned_bytes
from calibrate.io import cifar_resnet
from calibrate.steps import SetAlpha, Temperature
from calibrate.surgery import divide_logits_, find_sites, weigh_examples_
from tests.builders.examples import examples, trained
from tests.builders.networks import Tied, Wrapped, convolutional, factory, warmed_up


def provenance(architecture: str, temperature: float = 1.0, folded: str | None = None) -> Provenance:
    return Provenance(
        architecture=architecture,
        architecture_args={},
        preprocessing=None,
        class_names=("a", "b"),
        recipe=PRESETS["alpha"],
        recipe_digest=PRESETS["alpha"].digest,
        summary_digest="0" * 64,
        temperature=temperature,
        temperature_folded_into=folded,
    )


@pytest.mark.parametrize("alpha", [0.3, torch.tensor([0.0, 0.1, 0.5, 1.0])], ids=["one", "per channel"])
def test_a_tuned_file_round_trips_with_ties_alpha_and_an_unfolded_temperature(
    alpha: float | torch.Tensor, tmp_path: Path
) -> None:
    model = warmed_up(Tied())
    weigh_examples_(model, find_sites(model), 0.0)
    model.norm.alpha = alpha  # type: ignore[assignment, union-attr]
    assert divide_logits_(model, 1.3, torch.randn(2, 1, 8, 8)) is None
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(tuned_bytes(model, provenance(factory(Tied), 1.3)))
    opened = open_model(path, factory(Tied))
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(opened.model(x), model(x))
    assert opened.model.norm is opened.model.again["norm"]  # type: ignore[index]
    assert opened.class_names == ("a", "b")
    assert {site.names for site in find_sites(opened.model)} == {("norm", "again.norm")}


def test_a_tuned_file_keeps_both_names_of_its_classes(tmp_path: Path) -> None:
    """As ImageNet's index file has them: data may be labelled with either, before and after tuning."""
    classes = [["n01", "tench"], ["n02", "crane"], ["n03", "crane"]]
    (tmp_path / "index.json").write_text(json.dumps({str(index): names for index, names in enumerate(classes)}))
    data = open_data(examples(), preprocessing=None, classes=read_classes(tmp_path / "index.json"))
    done = retrofit(trained(), Recipe(steps=[Temperature()]), data=data, architecture=factory(convolutional))
    deliver(done, trained(), tmp_path, Outputs(formats=("safetensors",)))
    opened = open_model(tmp_path / "tuned.safetensors", factory(convolutional))
    assert opened.class_names == ("n01", "n02", "n03")
    assert other_names(opened.class_names) == {"tench": 0}


def test_a_tuned_network_can_be_tuned_again(tmp_path: Path) -> None:
    recipe = Recipe(steps=[SetAlpha(alpha=0.2), Temperature()])
    once = retrofit(trained(), recipe, data=examples(), architecture=factory(convolutional))
    deliver(once, trained(), tmp_path, Outputs(formats=("safetensors",)))
    opened = open_model(tmp_path / "tuned.safetensors", factory(convolutional))
    again = retrofit(opened.model, Recipe(steps=[Temperature()]), data=examples())
    assert again.summary.changes.temperature == pytest.approx(1, abs=1e-4)
    assert [site.alpha for site in again.summary.changes.sites] == [0.2, 0.2]


def test_a_file_that_names_a_factory_does_not_get_it_run(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    path = tmp_path / "stranger.safetensors"
    document = provenance("os:mkdir").model_copy(update={"architecture_args": {"path": str(marker)}})
    path.write_bytes(tuned_bytes(trained(), document))
    with pytest.raises(UsageError, match=r"os:mkdir, which is code, .* never run"):
        open_model(path)
    assert not os.path.exists(marker)  # noqa: PTH110


def test_a_tuned_file_is_not_opened_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "tuned.safetensors"
    path.write_bytes(tuned_bytes(trained(), provenance("cifar/resnet20")))
    with pytest.raises(ModelError, match="was tuned as cifar/resnet20"):
        open_model(path, "cifar/resnet32")


@pytest.mark.parametrize(
    ("alpha", "message"), [(torch.tensor(2.0), r"at norm, alpha is 2\.0"), (torch.zeros(3), "one for each of 4")]
)
def test_an_impossible_alpha_in_a_file_is_explained(alpha: torch.Tensor, message: str, tmp_path: Path) -> None:
    model = warmed_up(Tied())
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file({**state, "norm.alpha": alpha}, tmp_path / "bad.safetensors")
    with pytest.raises(ModelError, match=message):
        open_model(tmp_path / "bad.safetensors", factory(Tied))


def test_metadata_from_another_version_is_explained(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "new.safetensors", {"afternorm": '{"version": 99}'})
    with pytest.raises(ModelError, match="upgrade afternorm"):
        open_model(tmp_path / "new.safetensors")


def test_a_tuned_network_whose_own_names_share_a_wrapper_s_prefix_reopens(tmp_path: Path) -> None:
    model = warmed_up(Wrapped())
    weigh_examples_(model, find_sites(model), 0.2)
    path = tmp_path / "wrapped.safetensors"
    path.write_bytes(tuned_bytes(model, provenance(factory(Wrapped))))
    opened = open_model(path, factory(Wrapped))
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(opened.model(x), model(x))


@pytest.mark.parametrize("name", ["bn1.alpha", "temperature"])
def test_what_looks_like_tuning_in_a_file_that_says_nothing_of_it_is_told(name: str, tmp_path: Path) -> None:
    state = cifar_resnet(8, in_channels=1).state_dict()
    torch.save({**state, name: torch.tensor(0.3)}, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", "cifar/resnet8", {"in_channels": 1})
    (finding,) = opened.findings
    assert (finding.code, finding.severity) == ("taken-as-tuned", "warning")
    assert name in finding.message


def test_findings_on_a_file_go_on_with_what_was_taken_of_it(tmp_path: Path) -> None:
    state = cifar_resnet(8, in_channels=1).state_dict()
    torch.save({"model": state, "model_ema": {key: value + 1 for key, value in state.items()}}, tmp_path / "w.pth")
    opened = open_model(tmp_path / "w.pth", "cifar/resnet8", {"in_channels": 1})
    assert [finding.code for finding in opened.findings] == ["weights-taken"]
    tensors = {key: value.clone() for key, value in opened.model.state_dict().items()}
    safetensors.torch.save_file(tensors, tmp_path / "taken.safetensors", handing_on(opened))
    again = open_model(tmp_path / "taken.safetensors", "cifar/resnet8", {"in_channels": 1})
    assert again.findings == opened.findings
    safetensors.torch.save_file(tensors, tmp_path / "by-hand.safetensors", {"afternorm.findings": "[1]"})
    assert open_model(tmp_path / "by-hand.safetensors", "cifar/resnet8", {"in_channels": 1}).findings == ()
