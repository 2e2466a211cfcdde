"""Fine-tuning from Python: the right rows with the right labels, an untouched network, errors that say what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from calibrate.data import open_data
from calibrate.engine import FineTuningPlan, carry_out_fine_tuning, fine_tune, plan_fine_tuning
from calibrate.engine.finetuning.target_classes import class_labels
from calibrate.errors import AfternormError, DataError, ModelError, UsageError
from calibrate.io import fingerprint
from calibrate.metrics import score
from calibrate.recipe import FineTuning
from calibrate.report import fine_tuned_page
from calibrate.result import FineTuned, Progress, silent
from calibrate.surgery import find_sites
from tests.builders.fine_tuning import SHORT, maps, model_of
from tests.builders.networks import Tied, convolutional, grouped, warmed_up


def plan(model: nn.Module, document: dict[str, Any], data: Any, test_data: Any = None) -> FineTuningPlan:
    return plan_fine_tuning(
        model,
        FineTuning.model_validate({**SHORT, **document}),
        data=data,
        test_data=test_data,
        preprocessing=None,
        batch_size=16,
        device="cpu",
        progress=silent,
    )


def test_the_network_is_untouched_and_the_result_says_what_happened() -> None:
    model = model_of(4)
    before = fingerprint(model.state_dict())
    first = fine_tune(model, FineTuning.model_validate(SHORT), data=maps())
    again = fine_tune(model, FineTuning.model_validate(SHORT), data=maps())
    assert fingerprint(model.state_dict()) == before == first.result.model.fingerprint
    assert first.result.fingerprint == fingerprint(first.model.state_dict()) != before
    assert first.result.digest == again.result.digest
    assert FineTuned.model_validate_json(first.result.model_dump_json()) == first.result
    assert not first.result.head_is_fresh
    assert not any(module.training for module in first.model.modules())


def test_scores_are_of_the_returned_network_on_the_test_data() -> None:
    tested = maps(seed=1)
    outcome = fine_tune(model_of(4), FineTuning.model_validate(SHORT), data=maps(), test_data=tested)
    inputs = torch.cat([batch.inputs for batch in tested.batches(np.arange(80), 80)])
    assert tested.labels is not None
    with torch.inference_mode():
        own = score(outcome.model(inputs), torch.tensor(tested.labels))
        came = score(model_of(4)(inputs), torch.tensor(tested.labels))
    measurement = outcome.result.measurement
    assert measurement.n == 80
    for arm, scores in (("tuned", own), ("original", came)):
        assert measurement.arm(arm).metrics["nll"].value == pytest.approx(scores.nll.mean(), rel=1e-5)  # type: ignore[arg-type]
    (difference,) = measurement.differences
    assert difference.metrics["top1"].value == pytest.approx(own.top1.mean() - came.top1.mean())


def test_the_parts_are_disjoint_stratified_and_of_the_wanted_classes() -> None:
    data = maps(160)
    document = {"classes": ["3", "1"], "fraction": 0.5, "validation": 0.2, "seed": 3}
    found = plan(model_of(4), document, data)
    assert data.labels is not None
    wanted = np.flatnonzero(np.isin(data.labels, [1, 3]))
    parts = (found.training, found.validation, found.test)
    assert sum(map(len, parts)) == len(np.unique(np.concatenate(parts)))
    assert np.isin(np.concatenate(parts), wanted).all()
    for part, size in zip(parts, (8, 2, 20), strict=True):
        assert [int((data.labels[part] == label).sum()) for label in (3, 1)] == [size, size]
    assert [found.data.labels[data.labels == label][0] for label in (3, 1, 0, 2)] == [0, 1, -1, -1]
    other = plan(model_of(4), {**document, "seed": 4}, data)
    assert not np.array_equal(other.training, found.training)
    assert other.request != found.request


def test_test_data_are_labelled_by_name_not_by_number() -> None:
    training, test = maps(names=["a", "b", "c", "d"]), maps(seed=1, names=["d", "c", "b", "a"])
    found = plan(model_of(4), {"classes": ["c", "a"]}, training, test)
    assert test.labels is not None
    assert found.test_data.labels[test.labels == 1].tolist() == [0] * 20
    assert found.test_data.labels[test.labels == 3].tolist() == [1] * 20
    assert len(found.test) == 40


@pytest.mark.parametrize(
    ("document", "classes", "fresh"),
    [({}, 4, False), ({}, 3, True), ({}, 6, False), ({"head": "fresh"}, 4, True), ({"classes": [0, 2]}, 4, True)],
)
def test_the_head_is_kept_where_the_classes_are_the_networks(
    document: dict[str, Any], classes: int, fresh: bool
) -> None:
    """Indices that fit the network's outputs are taken for its classes."""
    assert plan(model_of(classes), document, maps()).fresh == fresh
    named = plan(model_of(classes), document, maps(names=["0", "1", "2", "3"]))
    assert named.fresh == (fresh or classes != 4)


def test_a_fresh_head_puts_out_the_classes_and_the_layers_are_placed() -> None:
    layers = [{"kind": "place", "layer": "StochNorm"}]
    recipe = FineTuning.model_validate({**SHORT, "classes": ["0", "2", "3"], "layers": layers})
    outcome = fine_tune(model_of(4), recipe, data=maps())
    assert outcome.model(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    assert [type(site.module).__name__ for site in find_sites(outcome.model)] == ["StochNorm"] * 2
    assert [scores.arm for scores in outcome.result.measurement.arms] == ["tuned"]


def test_a_fresh_head_takes_the_place_of_one_logit() -> None:
    outcome = fine_tune(model_of(1), FineTuning.model_validate(SHORT), data=maps(classes=2))
    assert outcome.result.head_is_fresh
    assert outcome.model(torch.randn(3, 1, 8, 8)).shape == (3, 2)


@pytest.mark.parametrize("end", [nn.Softmax(1), nn.Sigmoid()])
def test_a_network_that_puts_out_probabilities_is_refused(end: nn.Module) -> None:
    with pytest.raises(ModelError, match="puts out probabilities; wrap it in a factory"):
        plan(nn.Sequential(model_of(4), end), {}, maps())


@pytest.mark.parametrize("model", [grouped(4), nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), Tied()])
def test_networks_without_batch_norm_or_with_ties_are_fine_tuned(model: nn.Module) -> None:
    recipe = FineTuning.model_validate({**SHORT, "penalties": [{"kind": "l2_sp"}], "groups": {"weight_decay": 0}})
    outcome = fine_tune(warmed_up(model), recipe, data=maps())
    assert outcome.result.fingerprint != outcome.result.model.fingerprint


@pytest.mark.parametrize(
    "death", [pytest.param(1, id="after the first epoch"), pytest.param(2, id="after the second, before the test")]
)
def test_an_interrupted_fine_tuning_ends_with_the_same_result(death: int, tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    recipe = FineTuning.model_validate({**SHORT, "classes": ["0", "2", "3"], "penalties": [{"kind": "bss"}]})

    def die(progress: Progress) -> None:
        if (progress.stage, progress.done) == ("fine-tuning", death):
            raise KeyboardInterrupt

    whole = fine_tune(model_of(4), recipe, data=maps())
    with pytest.raises(KeyboardInterrupt):
        fine_tune(model_of(4), recipe, data=maps(), state=state, progress=die)
    assert state.exists()
    resumed = fine_tune(model_of(4), recipe, data=maps(), state=state)
    assert resumed.result.digest == whole.result.digest
    assert list(tmp_path.iterdir()) == []


def test_the_request_is_another_for_another_network_recipe_or_data() -> None:
    base = plan(model_of(4), {}, maps()).request
    assert plan(model_of(4), {}, maps()).request == base
    others = [
        plan(warmed_up(convolutional(4), seed=1), {}, maps()),
        plan(model_of(4), {"seed": 1}, maps()),
        plan(model_of(4), {}, maps(seed=1)),
        plan(model_of(4), {}, maps(), maps(seed=1)),
    ]
    assert len({base, *(other.request for other in others)}) == 5


class HeadInTheMiddle(nn.Module):
    """Its last linear layer is not what puts the logits out."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.linear = nn.Linear(64, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.linear(x.flatten(1)) * self.scale.mean(), x.flatten(1)[:, :2]], 1)


@pytest.mark.parametrize(
    ("model", "document", "data", "test_data", "error", "said"),
    [
        (model_of(4), {"classes": ["0", "cta"]}, maps(names=["cat", "b", "0", "d"]), None, DataError, "but 'cat'"),
        (model_of(4), {"fraction": 0.01}, maps(), None, DataError, r"fraction 0.01 of the 10 examples .* is 0"),
        (model_of(4), {"validation": 0.01}, maps(), None, DataError, "validation 0.01"),
        (model_of(4), {}, [torch.zeros(1, 8, 8)] * 4, None, AfternormError, "label|element"),
        (model_of(4), {}, maps(), maps(), UsageError, "learned by heart"),
        (model_of(3), {}, maps(classes=3), maps(seed=1), DataError, "test data, is of a class"),
        (model_of(4).half(), {}, maps(), None, UsageError, "amp: bf16"),
        (model_of(1), {}, maps(classes=1), None, ModelError, "one logit is not supported yet"),
        (convolutional()[:-3].eval(), {}, maps(), None, ModelError, "segmentation.* is not supported yet"),
        (HeadInTheMiddle(), {"classes": ["0", "2", "3"]}, maps(), None, ModelError, "is not its head"),
        (model_of(4), {"penalties": [{"kind": "delta", "layers": ["3x"]}]}, maps(), None, UsageError, "'3x'"),
        (model_of(4), {"layers": [{"kind": "place", "layer": "StochNrm"}]}, maps(), None, UsageError, "StochNorm"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_next_move(
    model: nn.Module, document: dict[str, Any], data: Any, test_data: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        carry_out_fine_tuning(model, plan(model, document, data, test_data), "", {})


def test_data_without_labels_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((20, 1, 8, 8), np.float32))
    with pytest.raises(DataError, match="has no labels"):
        plan(model_of(4), {}, open_data(tmp_path / "x.npz", preprocessing=None))


def test_labels_of_classes_that_are_not_wanted_are_minus_one() -> None:
    source = maps(8, names=["a", "b", "c", "d"])
    assert class_labels(source, ("d", "b"), 4).tolist() == [-1, 1, -1, 0] * 2


def test_sick_statistics_are_findings_of_the_report() -> None:
    network = model_of(4)
    network[1].reset_running_stats()  # type: ignore[index, operator]
    result = fine_tune(network, FineTuning.model_validate(SHORT), data=maps()).result
    (finding,) = (finding for finding in result.findings if finding.code == "statistics-never-filled")
    assert "the running statistics of 1 were never filled" in finding.message
    page = fine_tuned_page(result)
    for text in (page.text(), page.markdown(), page.html()):
        assert "were never filled" in " ".join(text.split())
    assert "statistics-never-filled" not in [f.code for f in fine_tune(
        model_of(4), FineTuning.model_validate(SHORT), data=maps()).result.findings]  # fmt: skip


def test_a_network_without_predictions_says_which_layer_is_to_blame() -> None:
    """Training keeps NaN in running statistics for good."""
    network = model_of(4)
    network[4].running_mean[3] = float("nan")  # type: ignore[index, union-attr]
    with pytest.raises(ModelError, match=r"the running statistics of 4 \(1 of 8 channels: 3\).*--recipe repair"):
        fine_tune(network, FineTuning.model_validate(SHORT), data=maps())


def test_the_original_network_without_predictions_has_an_empty_row() -> None:
    """GroupNorm in its place cures the network that is trained."""
    network = model_of(4)
    network[4].running_mean[3] = float("nan")  # type: ignore[index, union-attr]
    layers = [{"kind": "place", "layer": "GroupNorm", "settings": {"num_groups": 2}, "sites": ["4"]}]
    result = fine_tune(network, FineTuning.model_validate({**SHORT, "layers": layers}), data=maps()).result
    assert [scores.arm for scores in result.measurement.arms] == ["tuned"]
    (empty,) = result.measurement.empty
    assert empty.arm == "original"
    assert "the running statistics of 4 (1 of 8 channels: 3) are not finite" in empty.reason
    assert result.measurement.differences == ()
    assert "No scores for original: NaN or Inf for" in " ".join(fine_tuned_page(result).text().split())
