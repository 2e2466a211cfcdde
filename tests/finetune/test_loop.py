"""The loop: resumed as unbroken bit for bit, the best epoch kept, what is frozen untouched, one step by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from calibrate.errors import ModelError, UsageError
from calibrate.finetune.loop import _batch
from calibrate.io import fingerprint
from calibrate.recipe import FineTuning
from calibrate.result import Progress
from tests.builders.trainings import network, trained, training

PLAIN = {"batch_size": 12, "phases": [{"epochs": 3, "lr": 0.02}, {"epochs": 2, "lr": 0.01}]}
#: Everything that draws or has a state.
ALL: dict[str, Any] = {
    **PLAIN,
    "seed": 5,
    "mixup": 0.3,
    "label_smoothing": 0.1,
    "augmentation": "flip_crop",
    "penalties": [{"kind": "bss"}, {"kind": "l2_sp"}, {"kind": "delta", "layers": ["3"], "attention_examples": 10}],
    "affine_decay": {"strength": 0.01, "gamma_toward": 1},
    "groups": {"weight_decay": 0, "gamma_lr_divisor": 100},
    "histograms": "step",
}
ADAM = {**PLAIN, "optimizer": {"kind": "adam"}, "schedule": "cosine", "amp": "bf16", "patience": 2}
FROZEN = {
    **PLAIN,
    "phases": [
        {"epochs": 2, "trainable": "head", "norms": {"statistics": False, "normalise": "running", "affine": False}},
        {"epochs": 2, "trainable": "head_and_norms"},
    ],
}


@pytest.mark.parametrize(
    ("document", "layer"),
    [(PLAIN, None), (ALL, "StochNorm"), (ADAM, "BatchInstanceNorm"), (FROZEN, None)],
    ids=["original", "all", "adam", "frozen"],
)
@pytest.mark.parametrize("death", ["epoch 1", "epoch 2", "epoch 3", "batch 3", "batch 7", "batch 17"])
def test_a_resumed_training_is_the_unbroken_one_bit_for_bit(
    document: dict[str, Any], layer: str | None, death: str, tmp_path: Path
) -> None:
    recipe, path = FineTuning.model_validate(document), tmp_path / "state.pt"
    whole = network(layer)
    unbroken = trained(whole, training(recipe))

    kind, number = death.split()

    def die(progress: Progress) -> None:
        if kind == "epoch" and progress.done == int(number):
            raise KeyboardInterrupt

    broken = network(layer)
    attention = 13 if document is ALL else 0  # three epochs of the head alone, and the examples to attend to
    with pytest.raises(KeyboardInterrupt):
        trained(broken, training(recipe, die, int(number) + attention if kind == "batch" else None), path)
    torch.manual_seed(99)
    resumed_model = network(layer)
    resumed = trained(resumed_model, training(recipe), path)
    assert fingerprint(resumed_model.state_dict()) == fingerprint(whole.state_dict())
    assert resumed.epochs == unbroken.epochs
    assert (resumed.best, resumed.histograms) == (unbroken.best, unbroken.histograms)


def test_the_caller_s_generator_is_where_it_was() -> None:
    model = network("StochNorm")
    torch.manual_seed(3)
    before = torch.get_rng_state()
    trained(model, training(FineTuning.model_validate(ALL)))
    assert torch.equal(torch.get_rng_state(), before)


def test_each_seed_is_another_training() -> None:
    models = [network() for _ in range(2)]
    for seed, model in enumerate(models):
        trained(model, training(FineTuning.model_validate({**PLAIN, "seed": seed})))
    assert fingerprint(models[0].state_dict()) != fingerprint(models[1].state_dict())


def test_the_state_of_another_training_is_refused(tmp_path: Path) -> None:
    path, recipe = tmp_path / "state.pt", FineTuning.model_validate(PLAIN)
    trained(network(), training(recipe), path, "this")
    with pytest.raises(UsageError, match="is of another fine-tuning"):
        trained(network(), training(recipe), path, "that")
    path.write_bytes(b"no state")
    with pytest.raises(UsageError, match="delete it"):
        trained(network(), training(recipe), path, "this")


def test_the_best_epoch_is_kept_and_waiting_ends_the_phase() -> None:
    """With patience the course is a beginning of the one without it, and ends that many epochs after the best."""
    document = {"batch_size": 12, "phases": [{"epochs": 12, "lr": 0.3}], "schedule": "constant", "seed": 1}
    states: list[dict[str, Tensor]] = []
    model = network()
    given = training(
        FineTuning.model_validate(document),
        lambda _: states.append({name: tensor.clone() for name, tensor in model.state_dict().items()}),
    )
    free = trained(model, given)
    scores = [(epoch.top1, -epoch.nll) for epoch in free.epochs if epoch.top1 is not None and epoch.nll is not None]
    assert free.best == scores.index(max(scores))
    assert free.best < 11, "the test is of a best epoch that is not the last"
    assert fingerprint(model.state_dict()) == fingerprint(states[free.best])

    waiting = trained(network(), training(FineTuning.model_validate({**document, "patience": 2})))
    ends = len(waiting.epochs)
    assert waiting.epochs == free.epochs[:ends]
    assert ends == waiting.best + 3
    assert ends < 12


def test_patience_counts_anew_in_each_phase() -> None:
    """Nothing learns at a rate of almost 0, so no epoch is better than the first."""
    phases = [{"epochs": 5, "lr": 1e-12}, {"epochs": 5, "lr": 1e-12}]
    norms = {"norms": {"statistics": False, "normalise": "running"}}
    recipe = FineTuning.model_validate({"phases": [{**phase, **norms} for phase in phases], "patience": 2})
    found = trained(network(), training(recipe))
    assert [epoch.phase for epoch in found.epochs] == [0, 0, 0, 1, 1]


def test_without_a_validation_split_the_last_epoch_is_kept() -> None:
    found = trained(network(), training(FineTuning.model_validate({**PLAIN, "validation": 0})))
    assert found.best == 4
    assert {epoch.top1 for epoch in found.epochs} == {None}


@pytest.mark.parametrize(
    ("phase", "moving"),
    [
        ({"trainable": "head", "norms": {"statistics": False, "normalise": "running"}}, {"8.weight", "8.bias"}),
        (
            {"trainable": "head_and_norms", "norms": {"statistics": False}},
            {"8.weight", "8.bias", "1.weight", "1.bias", "4.weight", "4.bias"},
        ),
        (
            {"trainable": "all", "norms": {"affine": False, "normalise": "running"}},
            {"0.weight", "3.weight", "8.weight", "8.bias"}
            | {f"{site}.{buffer}" for site in (1, 4) for buffer in ("running_mean", "running_var")},
        ),
    ],
    ids=["head", "head and norms", "no norms"],
)
def test_what_is_frozen_stays_bit_for_bit_under_train(phase: dict[str, Any], moving: set[str]) -> None:
    model = network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    recipe = FineTuning.model_validate({"phases": [{"epochs": 2, **phase}], "batch_size": 12, "validation": 0})
    trained(model, training(recipe))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved - {"1.num_batches_tracked", "4.num_batches_tracked"} == moving
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert [type(module) for module in model] == [type(module) for module in network()]


def test_one_full_batch_is_one_step_down_the_gradient() -> None:
    """By hand: the head tenfold as fast, decay of weights alone, cross-entropy with smoothed labels."""
    recipe = FineTuning.model_validate(
        {
            "batch_size": 100,
            "phases": [{"epochs": 1, "lr": 0.1}],
            "schedule": "constant",
            "optimizer": {"kind": "sgd", "momentum": 0},
            "groups": {"weight_decay": 0.5, "gamma_lr_divisor": 4},
            "label_smoothing": 0.2,
            "validation": 0,
        }
    )
    model, given = network(), training(recipe)
    inputs, labels = _batch(given.source, given, given.training)
    reference = network().train()
    log_p = F.log_softmax(reference(inputs), 1)
    targets = 0.8 * F.one_hot(labels, 3) + 0.2 / 3
    loss = -(targets * log_p).sum(1).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    found = trained(model, given)
    assert found.epochs[0].loss == pytest.approx(loss.item(), rel=1e-5)
    for name, parameter in reference.named_parameters():
        assert parameter.grad is not None
        norm, head = name[0] in "14", name[0] == "8"
        rate = 0.1 * (10 if head else 1) / (4 if norm and "weight" in name else 1)
        decay = 0.5 * parameter if "weight" in name and not norm else 0
        expected = parameter - rate * (parameter.grad + decay)
        torch.testing.assert_close(model.get_parameter(name), expected, rtol=1e-4, atol=1e-6)


def test_a_last_short_batch_is_left_out_unless_it_is_the_only_one() -> None:
    seen: list[int] = []
    model = network()
    model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])) if module.training else None)
    for size, expected in ((20, [20, 20]), (48, [48]), (49, [48])):
        seen.clear()
        document = {"phases": [{"epochs": 1}], "batch_size": size}
        trained(model, training(FineTuning.model_validate(document)))
        assert seen == expected


def test_a_batch_has_the_labels_of_its_inputs_in_the_drawn_order() -> None:
    given = training(FineTuning())
    rows = given.training[[5, 0, 17, 3]]
    inputs, labels = _batch(given.source, given, rows)
    for place, row in enumerate(rows):
        (alone,) = given.source.batches(rows[place : place + 1], 1)
        assert torch.equal(inputs[place], alone.inputs[0])
        assert labels[place] == given.labels[row]


def test_a_training_that_comes_apart_says_so() -> None:
    model = network()
    nn.init.constant_(model.get_parameter("8.weight"), 3e38)
    with pytest.raises(ModelError, match=r"epoch 1 of phase 1 is nan.*lower lr than 0.02"):
        trained(model, training(FineTuning.model_validate({**PLAIN, "validation": 0})))
