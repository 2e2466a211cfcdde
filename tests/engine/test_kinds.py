"""Every kind of normalisation layer through the whole road: tuned, written, reopened, exported; or clearly refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from calibrate import PRESETS, Outputs, Recipe, deliver, open_model, retrofit
from calibrate.engine import inspect_model
from calibrate.errors import ExportError, ModelError
from calibrate.export import to_onnx
from calibrate.io import fit_weights, read_checkpoint
from calibrate.steps import Measure, SetAlpha, Temperature
from calibrate.surgery import find_sites, select, weigh_examples_
from tests.builders.checkpoints import load_
from tests.builders.commands import Ran
from tests.builders.examples import examples
from tests.builders.networks import convolutional, factory, frozen, warmed_up, with_norm
from tests.builders.runs import messages

RECIPE = Recipe(steps=[SetAlpha(alpha=0.1), Temperature(), Measure(resamples=100)])


def synchronised() -> nn.Module:
    return nn.SyncBatchNorm.convert_sync_batchnorm(convolutional())


def without_affine() -> nn.Module:
    return with_norm(lambda channels: nn.BatchNorm2d(channels, affine=False))


def with_activation() -> nn.Module:
    return with_norm(pytest.importorskip("timm.layers").BatchNormAct2d)


def batch_only() -> nn.Module:
    return with_norm(lambda channels: nn.BatchNorm2d(channels, track_running_stats=False))


class GroupNormAct(nn.GroupNorm):
    """Does more than normalise."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


def grouped_and_more() -> nn.Module:
    return with_norm(lambda channels: GroupNormAct(2, channels))


def transformer() -> nn.Module:
    """LayerNorm only."""
    return nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 3))


KINDS = {build.__name__: build for build in (frozen, synchronised, without_affine, with_activation)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tuned_file_reopens_as_tuned_and_the_graph_is_proven(kind: str, tmp_path: Path) -> None:
    """From a plain checkpoint to both files: no key is lost, none but α's is won, nothing becomes trainable."""
    model = warmed_up(KINDS[kind]())
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    opened = open_model(tmp_path / "plain.pt", factory(KINDS[kind]))
    outcome = retrofit(opened.model, RECIPE, data=examples(24), architecture=opened.architecture)
    delivery = deliver(outcome, opened.model, tmp_path / "out", Outputs(latency_runs=0))
    assert delivery.problems == ()
    assert [len(item.parity) for item in delivery.summary.artifacts] == [1, 3]
    assert [site.alpha for site in delivery.summary.changes.sites] == [0.1, 0.1]
    again = open_model(tmp_path / "out" / "tuned.safetensors", factory(KINDS[kind]))
    assert again.model.state_dict().keys() == model.state_dict().keys() | {"1.alpha", "4.alpha"}
    assert {name for name, _ in again.model.named_parameters()} == {name for name, _ in model.named_parameters()}
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(again.model(x), outcome.model(x))
    assert not torch.equal(again.model(x), model(x))
    assert [site.alpha for site in inspect_model(again).sites] == [0.1, 0.1]


def test_a_batch_norm_checkpoint_loads_into_a_frozen_architecture(tmp_path: Path) -> None:
    """A frozen backbone is built from the original network's published file, which counts batches."""
    plain = warmed_up(convolutional())
    torch.save(plain.state_dict(), tmp_path / "plain.pt")
    model = frozen().eval()
    load_(model, read_checkpoint(tmp_path / "plain.pt"), "frozen")
    x = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(model(x), plain(x), rtol=1e-5, atol=1e-5)


def test_a_stray_count_of_batches_alone_is_left_out_and_of_a_layer_refused(tmp_path: Path) -> None:
    state = {**convolutional().state_dict(), "9.num_batches_tracked": torch.tensor(3)}
    torch.save(state, tmp_path / "plain.pt")
    load_(frozen(), read_checkpoint(tmp_path / "plain.pt"), "frozen")
    assert fit_weights(frozen(), read_checkpoint(tmp_path / "plain.pt")).left_out == ("9.num_batches_tracked",)
    torch.save({**state, "9.running_mean": torch.ones(3)}, tmp_path / "plain.pt")
    with pytest.raises(ModelError, match=r"not in the network: 9\.running_mean"):
        load_(frozen(), read_checkpoint(tmp_path / "plain.pt"), "frozen")


@pytest.mark.parametrize(
    ("build", "reason"),
    [(batch_only, "it keeps no running statistics"), (grouped_and_more, "it is a GroupNormAct, a subclass")],
)
def test_layers_that_cannot_weigh_are_explained_everywhere(
    build: Any, reason: str, tmp_path: Path, afternorm: Any
) -> None:
    model = warmed_up(build())
    with pytest.raises(ModelError, match=f"{reason}.*Use the recipe `temperature`"):
        select(find_sites(model), ("*",))
    with pytest.raises(ModelError, match=reason):
        retrofit(model, PRESETS["alpha"], data=examples(24))
    summary = retrofit(model, PRESETS["temperature"], data=examples(24)).summary
    skipped = messages(summary, "site-skipped")
    assert len(skipped) == 1
    assert skipped[0].startswith("2 layers, 1 to 4, were left as they are: it ")
    assert [(site.channels, site.alpha, bool(site.note)) for site in summary.changes.sites] == [
        (4, None, True),
        (8, None, True),
    ]
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    name = factory(build)
    shown: Ran = afternorm("inspect", "--model", tmp_path / "plain.pt", "--architecture", name)
    assert shown.code == 0, shown.err
    assert shown.out.count("cannot be tuned: it ") == 2
    assert "--recipe temperature" in shown.out


def test_a_network_with_layer_norm_only_is_explained() -> None:
    with pytest.raises(ModelError, match=r"no batch normalisation layers.* recipe `temperature`"):
        retrofit(transformer(), PRESETS["alpha"], data=examples(24))
    assert retrofit(transformer(), PRESETS["temperature"], data=examples(24)).summary.changes.temperature > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("build", [convolutional, frozen], ids=["original", "frozen"])
def test_half_precision_goes_all_the_way(build: Any, dtype: torch.dtype, tmp_path: Path) -> None:
    """ONNX Runtime proves float16; bfloat16 it cannot run, which is said, and the weights are written all the same."""
    model = warmed_up(build()).to(dtype)
    torch.save(model.state_dict(), tmp_path / "half.pt")
    name = factory(build)
    opened = open_model(tmp_path / "half.pt", name)
    assert inspect_model(opened).dtype == str(dtype).removeprefix("torch.")
    outcome = retrofit(opened.model, RECIPE, data=examples(24), architecture=name)
    assert [site.alpha for site in outcome.summary.changes.sites] == [0.1, 0.1]
    delivery = deliver(outcome, opened.model, tmp_path / "out", Outputs(latency_runs=0))
    formats = [item.format for item in delivery.summary.artifacts]
    if dtype == torch.float16:
        assert formats == ["safetensors", "onnx"]
        assert delivery.problems == ()
    else:
        assert formats == ["safetensors"]
        assert "computes in bfloat16" in delivery.problems[0]
        assert "--formats safetensors" in delivery.problems[0]
    again = open_model(tmp_path / "out" / "tuned.safetensors", name).model
    assert {str(tensor.dtype) for key, tensor in again.state_dict().items() if key.endswith("alpha")} == {
        "torch.float32"
    }
    x = torch.randn(2, 1, 8, 8).to(dtype)
    assert torch.equal(again(x), outcome.model(x))


def test_bfloat16_is_refused_before_anything_is_traced() -> None:
    model = warmed_up(convolutional()).bfloat16()
    weigh_examples_(model, find_sites(model), 0.1)
    with pytest.raises(ExportError, match="bfloat16, for which ONNX Runtime has no kernels"):
        to_onnx(model, torch.randn(2, 1, 8, 8).bfloat16(), {})
