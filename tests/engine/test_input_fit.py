"""Before a run: inputs that are not prepared as in training are told, with the preparation that is right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from torch import Tensor, nn

from calibrate import (
    Outcome,
    Preprocessing,
    input_fit,
    open_model,
    probe,
    render_html,
    render_markdown,
    render_text,
    retrofit,
)
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS, PREPROCESSING
from calibrate.demo.digits import held_out_digits
from calibrate.demo.inputs import CHECKPOINT
from calibrate.errors import UsageError
from calibrate.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from calibrate.steps import InputFit, NotApplicable
from tests.builders.networks import convolutional, grouped, warmed_up
from tests.builders.runs import codes, messages

RIGHT = PREPROCESSING
MEAN, STD = RIGHT.mean[0], RIGHT.std[0]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return open_model(CHECKPOINT, ARCHITECTURE, ARCHITECTURE_ARGS).model


def images(n: int = 300) -> list[tuple[np.ndarray[Any, Any], int]]:
    x, y = held_out_digits()
    return list(zip(x[:n], y[:n].tolist(), strict=True))


def arrays(prepare: Callable[[Tensor], Tensor], n: int = 300) -> list[tuple[Tensor, int]]:
    """Digits as arrays; ``prepare`` is given values of 0 to 1."""
    x, y = held_out_digits()
    made = prepare(torch.from_numpy(x[:n, None]).double() / 255).float()
    return list(zip(made, y[:n].tolist(), strict=True))


def unlabelled(folder: Path, data: list[tuple[np.ndarray[Any, Any], int]]) -> str:
    np.savez(folder / "x.npz", x=np.stack([x for x, _ in data]))
    return str(folder / "x.npz")


WRONG: dict[str, Any] = {
    "0–1": {"mean": (0.0,), "std": (1.0,)},
    "0–255": {"mean": (0.0,), "std": (1 / 255,)},
    "MNIST": {"mean": (0.1307,), "std": (0.1,)},
    "inverted": {"inverted": True},
    "a third as white": {"maximum": 80},
}


def same(one: Preprocessing | None, other: Preprocessing) -> bool:
    """Whether images become nearly the same."""
    assert one is not None
    kept = ("maximum", "inverted", "transposed", "order", "by_example")
    scale, shift = one.std[0] / other.std[0], (one.mean[0] - other.mean[0]) / other.std[0]
    return all(getattr(one, name) == getattr(other, name) for name in kept) and 0.7 < scale < 1.4 and abs(shift) < 0.5


@pytest.mark.parametrize("wrong", ["0–1", "0–255", "inverted"])
def test_a_wrong_preparation_of_images_is_told_and_labelled_examples_prove_it(network: nn.Module, wrong: str) -> None:
    given = RIGHT.model_copy(update=WRONG[wrong])
    outcome = retrofit(network, "measure", data=images(), preprocessing=given)
    fit = outcome.summary.input_fit
    assert fit is not None
    assert fit.unsound
    assert fit.proven
    better = fit.better_fit
    assert better is not None
    assert better.scores is not None
    assert fit.given.scores is not None
    assert better.scores.top1 > 0.9 > fit.given.scores.top1
    assert better.preprocessing is not None
    assert not better.preprocessing.inverted
    (finding,) = [item for item in outcome.summary.findings if item.code == "input-misfit"]
    assert finding.severity == "warning"
    assert "first layer" in finding.message
    assert "--preprocessing" in finding.message
    assert f"{100 * better.scores.top1:.2f} %" in finding.message


def test_labels_need_one_standard_error_where_turning_round_fits_three_times_better(network: nn.Module) -> None:
    """Nine of ten labels are drawn anew, so that the rest prefer the right preparation by 1 to 2 standard errors."""
    generator = np.random.default_rng(0)
    x, y = (values[:100] for values in held_out_digits())
    drawn = generator.random(len(y)) < 0.9
    labels = np.where(drawn, generator.integers(0, 10, len(y)), y)

    def cross_entropy(*, inverted: bool) -> np.ndarray[Any, Any]:
        inputs = (255.0 - x if inverted else x.astype(float)) / 255
        with torch.inference_mode():
            logits = network(torch.tensor((inputs[:, None] - MEAN) / STD, dtype=torch.float32)).double().numpy()

        def losses(log_t: float) -> np.ndarray[Any, Any]:
            scaled = logits / np.exp(log_t)
            return np.asarray(logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels])

        return losses(minimize_scalar(lambda log_t: losses(log_t).mean(), bounds=(-5, 5)).x)

    gain = cross_entropy(inverted=True) - cross_entropy(inverted=False)
    assert 1 < gain.mean() / (gain.std(ddof=1) / len(gain) ** 0.5) < 2
    given = RIGHT.model_copy(update=WRONG["inverted"])
    fit = input_fit(network, list(zip(x, labels.tolist(), strict=True)), preprocessing=given)
    assert isinstance(fit, InputFit)
    assert fit.better_fit is not None
    assert fit.given.misfit > 3 * fit.better_fit.misfit
    assert fit.proven
    assert "not inverted" in fit.better_fit.name


def test_the_right_preparation_is_left_in_peace(network: nn.Module, tmp_path: Path) -> None:
    for data in (images(), unlabelled(tmp_path, images())):
        recipe = "measure" if data != str(tmp_path / "x.npz") else [{"kind": "set_alpha", "alpha": 0.1}]
        summary = retrofit(network, recipe, data=data, preprocessing=RIGHT).summary
        assert summary.input_fit is not None
        assert not summary.input_fit.misfits
        assert summary.input_fit.given.misfit < 0.05
        assert "input-misfit" not in codes(summary)
        assert summary.unsound == ()


def test_labels_too_few_to_prove_it_silence_no_misfit(network: nn.Module) -> None:
    """A std of .2 in place of .375 costs these digits next to nothing."""
    fit = input_fit(network, images(60), preprocessing=RIGHT.model_copy(update={"mean": (0.3,), "std": (0.2,)}))
    assert (fit.misfits, fit.proven) == (True, False)
    assert "too few examples to prove it" in fit.words()
    assert not input_fit(network, images(60), preprocessing=RIGHT).misfits


def test_without_labels_a_misfit_may_also_be_the_contrast(network: nn.Module, tmp_path: Path) -> None:
    given = RIGHT.model_copy(update=WRONG["0–255"])
    outcome = retrofit(
        network, [{"kind": "set_alpha", "alpha": 0.1}], data=unlabelled(tmp_path, images()), preprocessing=given
    )
    (message,) = messages(outcome.summary, "input-misfit")
    assert "lower contrast" in message
    fit = outcome.summary.input_fit
    assert fit is not None
    assert fit.proven is None
    assert fit.better is not None


@pytest.mark.parametrize(
    "lost",
    [
        lambda x: x,
        lambda x: 255 * x,
        lambda x: x / 255,
        lambda x: ((x - MEAN) / STD - MEAN) / STD,
        lambda x: (1 - x - MEAN) / STD,
        lambda x: 4095 * x,
    ],
    ids=["0–1", "0–255", "divided twice", "normalized twice", "inverted", "12 bits"],
)  # fmt: skip
def test_arrays_that_lost_their_preparation_are_told(network: nn.Module, lost: Callable[[Tensor], Tensor]) -> None:
    fit = input_fit(network, arrays(lost))
    assert fit.misfits
    assert fit.proven
    assert not input_fit(network, arrays(lambda x: (x - MEAN) / STD)).misfits


def test_rows_and_columns_exchanged_are_told_by_labels(network: nn.Module) -> None:
    turned = [(np.ascontiguousarray(x.T), y) for x, y in images(600)]
    fit = input_fit(network, turned, preprocessing=RIGHT)
    assert fit.better_fit is not None
    assert fit.better_fit.preprocessing is not None
    assert fit.better_fit.preprocessing.transposed
    assert fit.proven


def test_images_that_use_little_of_their_range_are_told(network: nn.Module, tmp_path: Path) -> None:
    """12 bits in files of 16, and 8-bit images whose white is 16."""
    for folder, bits in (("twelve", lambda x: x.astype("u2") * 16), ("four", lambda x: (x // 16).astype("u1"))):
        for index, (x, y) in enumerate(images(200)):
            path = tmp_path / folder / f"digit{y}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(bits(x)).save(path)
        summary = retrofit(network, "measure", data=tmp_path / folder, preprocessing=RIGHT).summary
        (message,) = messages(summary, "input-misfit")
        assert "range of its type" in message
        taken = retrofit(
            network, "measure", data=tmp_path / folder, preprocessing=RIGHT.model_copy(update={"auto": True})
        ).summary
        assert taken.data.preprocessing is not None
        assert taken.data.preprocessing.maximum == {"twelve": 4095, "four": 15}[folder]
        assert taken.measurement is not None
        assert taken.measurement.arm("original").metrics["top1"].value > 0.95


def test_a_mean_and_std_that_nobody_lists_are_undone_and_never_applied(network: nn.Module) -> None:
    """The network's own first statistics, as if trained on other units; only the misfit and the map are told."""
    moved = arrays(lambda x: (x - MEAN) / STD * 7.3 + 40)
    summary = retrofit(network, "measure", data=moved, preprocessing="auto").summary
    fit = summary.input_fit
    assert fit is not None
    assert fit.misfits
    if fit.better is None:
        assert fit.undoing is not None
        assert fit.undoing.preprocessing is not None
        assert fit.undoing.preprocessing.arrays is not None
        assert fit.undoing.preprocessing.arrays.scale[0] == pytest.approx(1 / 7.3, rel=0.1)
        assert summary.data.preprocessing is None


def test_a_gain_on_unfit_inputs_is_called_a_repair_in_the_first_line_of_every_report(network: nn.Module) -> None:
    given = RIGHT.model_copy(update=WRONG["MNIST"])
    outcome = retrofit(network, "adabn", data=images(600), preprocessing=given)
    assert outcome.summary.verdict == "improved"
    assert outcome.summary.is_repair
    for made in (render_text(outcome.summary), render_markdown(outcome.summary), render_html(outcome.summary)):
        assert made.index("A repair, not a gain") < made.index("Improved:")
    assert "repair" in repr(outcome)
    sound = retrofit(network, "adabn", data=images(600), preprocessing=RIGHT)
    assert not sound.summary.is_repair
    assert "repair" not in repr(sound)


def test_auto_takes_what_fits_and_the_tuned_file_opens_with_it(network: nn.Module, tmp_path: Path) -> None:
    cases: list[tuple[Any, Any]] = [
        (images(), RIGHT.model_copy(update={**WRONG["0–255"], "auto": True})),
        (arrays(lambda x: x), "auto"),
    ]
    for number, (data, asked) in enumerate(cases):
        outcome = retrofit(
            network, "temperature", data=data, preprocessing=asked,
            architecture=ARCHITECTURE, architecture_args=ARCHITECTURE_ARGS,
        )  # fmt: skip
        summary = outcome.summary
        assert codes(summary).count("preprocessing-taken") == 1
        assert summary.input_fit is not None
        assert summary.input_fit.taken
        assert summary.data.preprocessing == summary.input_fit.better_fit.preprocessing  # type: ignore[union-attr]
        assert summary.measurement is not None
        assert summary.measurement.arm("original").metrics["top1"].value > 0.9
        assert not summary.unsound
        outcome.save(tmp_path / str(number), formats=["safetensors"])
        opened = open_model(tmp_path / str(number) / "tuned.safetensors")
        again = retrofit(opened.model, "measure", data=data, preprocessing=opened.preprocessing).summary
        assert again.measurement is not None
        before = summary.measurement.arm("original").metrics["top1"]
        assert again.measurement.arm("original").metrics["top1"] == before


def test_auto_leaves_what_fits(network: nn.Module) -> None:
    summary = retrofit(network, "measure", data=images(), preprocessing=RIGHT.model_copy(update={"auto": True})).summary
    assert summary.data.preprocessing == RIGHT
    assert summary.input_fit is not None
    assert not summary.input_fit.taken


def test_the_probe_sees_the_network_as_the_steps_before_left_it(network: nn.Module) -> None:
    given = RIGHT.model_copy(update=WRONG["MNIST"])
    steps = [{"kind": "input_fit"}, {"kind": "reestimate"}, {"kind": "input_fit"}]
    summary = retrofit(network, steps, data=images(600), preprocessing=given).summary
    before, after = summary.of(InputFit)
    assert before == summary.input_fit
    assert (before.tuned, after.tuned) == (False, True)
    assert before.misfits
    assert not after.misfits
    assert after.given.misfit < before.given.misfit / 10


def test_training_data_give_their_moments_to_other_counts_of_channels() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv1d(5, 8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 2)
    )
    scales = torch.tensor([1.0, 10.0, 100.0, 3.0, 0.5]).view(5, 1)
    raw = [(torch.randn(5, 40) * scales + scales, i % 2) for i in range(200)]
    pooled = torch.stack([x for x, _ in raw]).transpose(0, 1).flatten(1)
    fine = [((x - pooled.mean(1)[:, None]) / pooled.std(1)[:, None], y) for x, y in raw]
    net[1].momentum = None
    net.train()(torch.stack([x for x, _ in fine]))
    net.eval()
    shifted = [(x * 2, y) for x, y in raw[:100]]
    fit = probe(net, "input_fit", shifted, training=raw)
    assert isinstance(fit, InputFit)
    assert fit.others[0].misfit < fit.given.misfit / 10
    names = [item.name for item in fit.others]
    assert "the mean and std of these data" in names
    assert any("training data" in name for name in names)


def test_nothing_is_claimed_where_nothing_can_be_compared() -> None:
    data = [(torch.randn(1, 8, 8), i % 3) for i in range(40)]
    with pytest.raises(UsageError, match="keeps no running statistics"):
        input_fit(grouped().eval(), data)
    with pytest.raises(UsageError, match="never filled"):
        input_fit(convolutional().eval(), data)
    with pytest.raises(UsageError, match="too few"):
        input_fit(warmed_up(convolutional()), data[:6])
    outcome: Outcome = retrofit(convolutional().eval(), "measure", data=data)
    assert isinstance(outcome.summary.input_fit, NotApplicable)
    assert "never filled" in outcome.summary.input_fit.reason
    assert "Not applicable: the running statistics of the first layer" in " ".join(render_text(outcome.summary).split())


def test_arrays_with_channels_last_are_told_and_can_be_turned(network: nn.Module) -> None:
    data = [(x.permute(1, 2, 0), y) for x, y in arrays(lambda x: (x - MEAN) / STD)]
    with pytest.raises(Exception, match="channels_last"):
        retrofit(network, "measure", data=data)
    summary = retrofit(network, "measure", data=data, preprocessing={"arrays": {"channels_last": True}}).summary
    assert summary.measurement is not None
    assert summary.measurement.arm("original").metrics["top1"].value > 0.95
    assert "input-misfit" not in codes(summary)


def test_the_network_is_never_touched(network: nn.Module) -> None:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    input_fit(network, images(), preprocessing=RIGHT.model_copy(update=WRONG["0–255"]))
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize("odd", ["not finite", "another size"])
def test_training_examples_that_cannot_be_compared_are_left_out_of_their_moments(odd: str) -> None:
    net = warmed_up(convolutional(channels=3))
    data = [(torch.rand(3, 8, 8) * 255, i % 3) for i in range(40)]
    sound = [(torch.rand(3, 8, 8) * 9 + 1, 0) for _ in range(30)]
    strange = torch.full((3, 8, 8), torch.nan) if odd == "not finite" else torch.rand(3, 4, 4) * 9 + 1
    training = [sound[0], (strange, 0), *sound[1:]]
    fit = probe(net, "input_fit", data, training=training)
    assert isinstance(fit, InputFit)
    alone = probe(net, "input_fit", data, training=[(strange, 0)] * 9) if odd == "not finite" else None
    assert alone is None or isinstance(alone, InputFit)


def test_training_images_need_not_be_of_one_size() -> None:
    net = warmed_up(convolutional(channels=3))
    draw = np.random.default_rng(0)
    data = [(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8), i % 3) for i in range(40)]
    training = [(draw.integers(0, 256, (8, 8 + i, 3), dtype=np.uint8), 0) for i in range(9)]
    assert isinstance(probe(net, "input_fit", data, training=training, preprocessing={}), InputFit)


class Chooses(nn.Module):
    """A layer for large values, another for small ones; no large negative values."""

    def __init__(self) -> None:
        super().__init__()
        self.large, self.small, self.head = nn.BatchNorm2d(1), nn.BatchNorm2d(1), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        assert x.min() > -2, "no large negative values"
        y: Tensor = self.head((self.large if x.mean() > 2 else self.small)(x).flatten(1))
        return y


def test_a_network_that_refuses_other_preparations_or_takes_another_way_is_measured() -> None:
    net = Chooses().eval()
    net.large.running_mean += 0.5
    data = [(torch.rand(1, 8, 8) * 255, i % 3) for i in range(60)]
    summary = retrofit(net, "measure", data=data).summary
    assert summary.input_fit is not None
    assert summary.input_fit.layer == "large"
    assert summary.measurement is not None


def test_images_whose_rows_are_channels_to_the_first_layer_are_measured() -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(80, 3)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(self.norm(x.transpose(1, 2)).flatten(1))
            return y

    net = Rows().eval()
    net.norm.running_mean += 0.5
    draw = np.random.default_rng(0)
    data = [(draw.integers(0, 256, (8, 10), dtype=np.uint8), i % 3) for i in range(60)]
    fit = input_fit(net, data, preprocessing={"channels": 1, "mean": [0.5], "std": [0.5]})
    assert fit.layer == "norm"


def test_a_large_misfit_that_no_preparation_undoes_is_not_called_a_fit() -> None:
    net = warmed_up(convolutional())
    fit = input_fit(net, [(torch.full((1, 8, 8), 0.5), i % 3) for i in range(60)])
    assert not fit.misfits
    assert fit.given.misfit > 0.5
    assert "unlike" in fit.words()
    assert "The inputs fit" not in fit.words()


def test_channels_reversed_are_taken_for_right_only_where_they_fit() -> None:
    """Labels that prefer a turned preparation prove nothing of one that is as far from the statistics as the given."""
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 36, 4))
    pixels = np.random.default_rng(2).integers(0, 256, (200, 8, 8, 3)) * np.array([1.0, 0.5, 0.25])
    made = torch.from_numpy(pixels).float().permute(0, 3, 1, 2)
    net[1].momentum = None
    with torch.no_grad():
        net.train()((made / 255 - 0.3) / 0.1)
        labels = net.eval()(made.flip(1)).argmax(1).tolist()
    given = Preprocessing(mean=(0.0,) * 3, std=(1 / 255,) * 3)
    fit = input_fit(net, list(zip(pixels.astype("u1"), labels, strict=True)), preprocessing=given)
    assert fit.given.misfit > 100
    assert fit.better_fit is None or fit.better_fit.misfit < 0.25


def test_images_read_as_bgr_and_normalized_as_rgb_are_told() -> None:
    """As OpenCV reads them, with ImageNet's mean and std in the order in which they are written down."""
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 36, 4))
    pixels = np.random.default_rng(2).integers(0, 256, (200, 8, 8, 3)) * np.array([1.0, 0.7, 0.4])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    right = (torch.from_numpy(pixels.astype("u1")).float().permute(0, 3, 1, 2).flip(1) / 255 - mean) / std
    net[1].momentum = None
    with torch.no_grad():
        net.train()(right)
        labels = net.eval()(right).argmax(1).tolist()
    data = list(zip(pixels.astype("u1"), labels, strict=True))
    fit = input_fit(net, data, preprocessing=Preprocessing())
    better = fit.better_fit
    assert better is not None
    assert better.preprocessing == Preprocessing(order="bgr")
    assert fit.proven
    assert not input_fit(net, data, preprocessing=Preprocessing(order="bgr")).misfits
