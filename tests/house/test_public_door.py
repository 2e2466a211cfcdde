"""What a PyTorch user types first: it does what it says, or fails with a message that names the next move."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import calibrate


class Small(nn.Module):
    """A network whose class takes an argument, so that no name builds it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.head(self.body(x).mean((2, 3)))
        return pooled


@pytest.fixture(scope="module")
def network() -> Small:
    torch.manual_seed(0)
    model = Small(4)
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(16, 1, 8, 8))
    return model.eval()


@pytest.fixture(scope="module")
def examples() -> list[tuple[Tensor, int]]:
    generator = torch.Generator().manual_seed(1)
    return [(2 * torch.randn(1, 8, 8, generator=generator) + i % 2, i % 2) for i in range(60)]


def test_a_preset_by_its_name(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    outcome = calibrate.retrofit(network, "temperature", data=examples)
    assert outcome.summary.recipe == calibrate.PRESETS["temperature"]
    assert "temperature, measure; verdict: none" in repr(outcome)


def test_a_list_of_steps_a_mapping_and_a_recipe_are_one(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    steps = [calibrate.SetAlpha(alpha=0.1), calibrate.Temperature()]
    document = {"steps": [{"kind": "set_alpha", "alpha": 0.1}, {"kind": "temperature"}]}
    given = (steps, document, calibrate.Recipe(steps=steps), [document["steps"][0], "temperature"])
    digests = [calibrate.retrofit(network, recipe, data=examples).summary.digest for recipe in given]
    assert len(set(digests)) == 1


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("alfa", "there is no preset 'alfa', but 'alpha'"),
        (3, "recipe is int; give a preset's name"),
        ([{"kind": "set_alpha"}], "steps[0].alpha"),
        ([], "name at least one step"),
    ],
)
def test_a_wrong_recipe_is_explained(recipe: object, said: str, network: Small) -> None:
    with pytest.raises(calibrate.UsageError) as caught:
        calibrate.retrofit(network, recipe, data=[])  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_a_state_dict_is_no_model(network: Small) -> None:
    with pytest.raises(calibrate.ModelError, match="open_model"):
        calibrate.retrofit(network.state_dict(), "alpha", data=[])  # type: ignore[arg-type]


def test_an_outcome_is_saved_and_a_network_of_the_users_class_reopens(
    network: Small, examples: list[tuple[Tensor, int]], tmp_path: Path
) -> None:
    outcome = calibrate.retrofit(network, [calibrate.SetAlpha(alpha=0.2), calibrate.Temperature()], data=examples)
    written = outcome.save(tmp_path, formats=["safetensors"])
    assert {path.name for path in written} >= {"tuned.safetensors", "summary.json", "report.html"}
    with pytest.raises(calibrate.UsageError, match=r"open_model\(path, model=network\)"):
        calibrate.open_model(tmp_path / "tuned.safetensors")
    opened = calibrate.open_model(tmp_path / "tuned.safetensors", model=Small(4))
    x = torch.stack([x for x, _ in examples[:5]])
    torch.testing.assert_close(opened.model(x), outcome.model(x), rtol=0, atol=0)
    with pytest.raises(calibrate.ModelError):
        calibrate.open_model(tmp_path / "tuned.safetensors", model=Small(5))


def test_an_unknown_format_is_explained(network: Small, examples: list[tuple[Tensor, int]], tmp_path: Path) -> None:
    outcome = calibrate.retrofit(network, [calibrate.SetAlpha(alpha=0.2)], data=examples)
    with pytest.raises(calibrate.UsageError, match="formats"):
        outcome.save(tmp_path, formats=["onx"])


def test_a_temperature_of_logits() -> None:
    logits, labels = torch.tensor([[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]]), torch.tensor([0, 1, 1])
    assert calibrate.fit_temperature(logits, labels).value > 1


def test_statistics_are_re_estimated_from_a_loader(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    loader = torch.utils.data.DataLoader(examples, batch_size=16)  # type: ignore[arg-type]
    tuned = calibrate.reestimate(network, loader)
    assert not torch.equal(tuned.body[1].running_mean, network.body[1].running_mean)


@pytest.mark.parametrize("probe", ["estimation_shift", "channel_health", "output_bound"])
def test_probes_take_a_network_and_a_loader(probe: str, network: Small, examples: list[tuple[Tensor, int]]) -> None:
    loader = torch.utils.data.DataLoader(examples, batch_size=16)  # type: ignore[arg-type]
    (layer,) = getattr(calibrate, probe)(network, loader)
    assert layer.name == "body.1"


def test_probes_that_need_labels_take_them_from_the_loader(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    noise = calibrate.statistic_noise(network, examples, deltas=(0.1,), repetitions=5)
    right = torch.stack([x for x, _ in examples])
    predicted = network(right).argmax(1)
    assert noise.top1 == pytest.approx(float((predicted == torch.tensor([y for _, y in examples])).double().mean()))
    assert noise.images == 60
    streams = calibrate.adaptation(network, examples, methods=[calibrate.PredictionTimeBN()], seeds=1).streams
    assert [item.method and item.method.kind for item in streams[0].methods] == [None, "prediction_time_bn"]
    with pytest.raises(calibrate.UsageError, match=r"nothing to probe: .*floating point"):
        calibrate.corruptions(network, examples)
    with pytest.raises(calibrate.UsageError, match=r"steps\[0\]\.deltas"):
        calibrate.statistic_noise(network, examples, deltas=(-1,))


def test_an_adapted_network_is_called(network: Small) -> None:
    adapted = calibrate.Adapted(network, calibrate.PredictionTimeBN())
    assert adapted(torch.randn(8, 1, 8, 8)).shape == (8, 2)


def test_methods_and_probes_go_by_their_names_too(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    assert calibrate.Adapted(network, "tent").learned
    found = calibrate.probe(network, "channel_health", examples)
    assert (found.kind, found.images) == ("channel_health", 60)
    with pytest.raises(calibrate.UsageError, match=r"is no adaptation method.*tent"):
        calibrate.Adapted(network, "tnt")
    with pytest.raises(calibrate.UsageError, match="the step temperature is no probe"):
        calibrate.probe(network, "temperature", examples)
    with pytest.raises(calibrate.ModelError, match="the model is dict"):
        calibrate.probe({}, "channel_health", examples)  # type: ignore[arg-type]


def test_layers_to_probe_go_by_patterns_too(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    loader = torch.utils.data.DataLoader(examples, batch_size=16)  # type: ignore[arg-type]
    assert calibrate.estimation_shift(network, loader, ["body.*"]) == calibrate.estimation_shift(network, loader)
    with pytest.raises(calibrate.UsageError, match="matches none"):
        calibrate.channel_health(network, loader, ["head.*"])
    with pytest.raises(calibrate.UsageError, match="name patterns such as"):
        calibrate.output_bound(network, loader, [3], train_batch_size=4)  # type: ignore[list-item]


@pytest.mark.parametrize("x", [torch.full((2, 1, 8, 8), torch.nan), torch.zeros(0, 1, 8, 8), [1.0]])
def test_a_batch_that_would_spoil_an_adapted_network_is_refused(x: object, network: Small) -> None:
    adapted = calibrate.Adapted(network, calibrate.Tent())
    before = {name: tensor.clone() for name, tensor in adapted.model.state_dict().items()}
    with pytest.raises(calibrate.DataError, match="Nothing was learned from it"):
        adapted(x)  # type: ignore[arg-type]
    assert all(torch.equal(before[name], tensor) for name, tensor in adapted.model.state_dict().items())


def test_a_loader_of_pairs_gives_images_like_those_of_the_training(network: Small) -> None:
    data = torch.utils.data.TensorDataset(torch.randn(32, 1, 8, 8), torch.zeros(32))
    loader = torch.utils.data.DataLoader(data, batch_size=16)
    adapted = calibrate.Adapted(network, calibrate.EATA(), in_distribution=loader)
    assert adapted(torch.randn(4, 1, 8, 8)).shape == (4, 2)


def test_a_recipe_of_probes_writes_reports_and_no_network(
    network: Small, examples: list[tuple[Tensor, int]], tmp_path: Path
) -> None:
    outcome = calibrate.retrofit(network, [{"kind": "channel_health"}], data=examples)
    assert {path.suffix for path in outcome.save(tmp_path)} == {".html", ".md", ".txt", ".json"}


def test_a_recipe_in_a_file(network: Small, examples: list[tuple[Tensor, int]], tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("steps: [{kind: temperature}]")
    outcome = calibrate.retrofit(network, path, data=examples)
    assert [step.kind for step in outcome.summary.recipe.steps] == ["temperature"]
    with pytest.raises(calibrate.UsageError, match="has the name of a file"):
        outcome.save(tmp_path / "tuned.pt")
    with pytest.raises(calibrate.UsageError, match="Measure is a step; the class of its outcome is Measurement"):
        outcome.summary.of(calibrate.Measure)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: calibrate.find_sites("network"), "model is 'network', of the class str; give a torch.nn.Module"),
        (lambda: calibrate.estimation_shift({}, []), "model is {}, of the class dict"),
        (lambda: calibrate.open_model(3), "path is 3, of the class int; give the path of a checkpoint"),
        (lambda: calibrate.fit_temperature([[1.0]], [0]), "logits is .*give a tensor"),
        (lambda: calibrate.read_classes(3), "path is 3"),
        (lambda: calibrate.Replacement("StochNorm", 3), "settings is 3"),
        (lambda: calibrate.place_(Small(4), {"body.1": "StochNorm"}), "body.1 is 'StochNorm'.*give a Replacement"),
        (lambda: calibrate.render_text(3), "summary is 3.*give the `summary` of an outcome"),
    ],
)
def test_a_wrong_kind_is_named_with_what_to_give(call: Callable[[], object], said: str) -> None:
    with pytest.raises(calibrate.UsageError, match=said):
        call()


def test_arguments_of_the_wrong_kind_are_explained(network: Small, examples: list[tuple[Tensor, int]]) -> None:
    for fields in ({"device": None}, {"classes": "cat"}, {"classes": [1, 2]}, {"architecture": 5}):
        (name,) = fields
        with pytest.raises(calibrate.UsageError, match=f"{name} is"):
            calibrate.retrofit(network, "temperature", data=examples, **fields)  # type: ignore[arg-type]
    with pytest.raises(calibrate.UsageError, match="batch_size is 0"):
        calibrate.retrofit(network, "temperature", data=examples, batch_size=0)
    with pytest.raises(calibrate.UsageError, match="preprocessing is 3"):
        calibrate.retrofit(network, "temperature", data=examples, preprocessing=3)  # type: ignore[arg-type]


def test_a_replacement_by_class() -> None:
    placed = calibrate.place_(Small(4), {"body.1": calibrate.Replacement(calibrate.StochNorm, p=0.25)})
    assert placed.get_submodule("body.1").p == 0.25
    with pytest.raises(calibrate.UsageError, match="afternorm methods"):
        calibrate.Replacement(nn.LayerNorm)


def test_names_and_version_are_listed_without_torch() -> None:
    program = (
        "import calibrate, sys; print(calibrate.__version__); print(*dir(calibrate)); print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    version, names, torch_loaded = ran.stdout.splitlines()
    assert version[0].isdigit()
    assert {"retrofit", "SetAlpha", "StochNorm", "Adapted", "UsageError", "__version__"} <= set(names.split())
    assert torch_loaded == "False"


def test_every_name_loads() -> None:
    assert all(getattr(calibrate, name) is not None for name in calibrate.__all__)
    with pytest.raises(AttributeError, match="no_such"):
        calibrate.no_such  # noqa: B018
