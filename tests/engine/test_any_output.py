"""Networks that put out no logits (N, K): recipes that look at none run, others name the case and what works."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from calibrate import retrofit
from calibrate.errors import ModelError
from tests.builders.networks import warmed_up
from tests.builders.runs import codes

LABELLED = [(torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(i)) * 2 + 3, i % 2) for i in range(40)]


class Ending(nn.Module):
    """Maps (N, 2, H, W) of a small network, and what ``end`` makes of them."""

    def __init__(self, end: Callable[[Tensor], Any], norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(1, 4, 3, padding=1), norm(4), nn.Conv2d(4, 2, 1)
        self.end = end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.last(torch.relu(self.norm(self.first(x)))))


ENDS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "map": (lambda y: y, "segmentation, with logits at each position (N, K, *), is not supported yet"),
    "tuple": (lambda y: (y, y.mean((2, 3))), "a tuple of 2"),
    "mapping": (lambda y: {"out": y, "aux": y.mean((2, 3))}, "a dict with 'out', 'aux'"),
    "one logit": (lambda y: y.mean((1, 2, 3)), "binary classification by one logit is not supported yet"),
    "one logit in a column": (
        lambda y: y.mean((1, 2, 3))[:, None],
        "binary classification by one logit is not supported yet",
    ),
    "steps": (
        lambda y: y.mean(3).permute(2, 0, 1),
        "sequences, with logits of each step (T, N, K), are not supported yet",
    ),
    "as many steps as are looked at": (
        lambda y: y.mean(3).permute(2, 0, 1)[:2],
        "sequences, with logits of each step (T, N, K), are not supported yet",
    ),
    "argmax": (lambda y: y.mean((2, 3)).argmax(1), "what was decided, by argmax or a threshold"),
    "true or false": (lambda y: y.mean((2, 3)) > 0, "what was decided, by argmax or a threshold"),
    "complex": (lambda y: torch.fft.fft(y.mean((2, 3))), "complex numbers are no logits"),
    "nothing": (lambda y: None, "a NoneType"),
}


def network(end: str) -> nn.Module:
    return warmed_up(Ending(ENDS[end][0]))


def calibration_moments(net: Any, outcome: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the norm's inputs over the calibration half, in float64, by numpy."""
    holdout = outcome.examples.flatten(1).tolist()
    own = torch.stack([x for x, _ in LABELLED if x.flatten().tolist() not in holdout])
    seen = net.first.double()(own.double()).detach().numpy()
    return seen.mean((0, 2, 3)), seen.var((0, 2, 3))


@pytest.mark.parametrize("end", ENDS)
def test_statistics_are_re_estimated_whatever_is_put_out(end: str, tmp_path: Path) -> None:
    net = network(end)
    outcome = retrofit(net, [{"kind": "reestimate"}], data=LABELLED)
    outcome.save(tmp_path, formats=["safetensors"])
    mean, variance = calibration_moments(net, outcome)
    state = load_file(tmp_path / "tuned.safetensors")
    np.testing.assert_allclose(state["norm.running_mean"], mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(state["norm.running_var"], variance, rtol=1e-5)
    assert outcome.summary.verdict is None
    assert "outputs-not-logits" in codes(outcome.summary)
    assert {path.name for path in tmp_path.iterdir()} >= {"report.html", "summary.json", "tuned.reference.json"}


@pytest.mark.parametrize("end", ["map", "tuple"])
@pytest.mark.parametrize("labels", [True, False])
def test_alpha_and_probes_need_no_logits_either(end: str, labels: bool, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.stack([x.numpy() for x, _ in LABELLED]))
    data = LABELLED if labels else tmp_path / "x.npz"
    probes = ["input_fit", "estimation_shift", "channel_health"]
    steps = [{"kind": "set_alpha", "alpha": 0.25}, *({"kind": kind} for kind in probes)]
    steps += [{"kind": "output_bound", "train_batch_size": 8}]
    outcome = retrofit(network(end), steps, data=data)
    assert [site.alpha for site in outcome.summary.changes.sites] == [0.25]
    assert [item.kind for item in outcome.summary.outcomes] == [*probes, "output_bound"]
    step = {"kind": "label_free_alpha", "criterion": "estimation_shift", "maximum": 0.5}
    assert retrofit(network(end), [step], data=data).summary.outcomes[0].kind == "label_free_alpha"


def test_moments_of_group_norm_are_estimated_on_any_output() -> None:
    net = warmed_up(Ending(ENDS["tuple"][0], lambda channels: nn.GroupNorm(2, channels)))
    outcome = retrofit(net, [{"kind": "set_alpha", "alpha": 0.5}], data=LABELLED)
    mean, _ = calibration_moments(net, outcome)
    np.testing.assert_allclose(outcome.model.get_buffer("norm.running_mean"), mean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("end", "said"), [(end, said) for end, (_, said) in ENDS.items()])
@pytest.mark.parametrize("step", ["temperature", "measure", "search_alpha"])
def test_steps_that_look_at_logits_name_the_case(end: str, said: str, step: str) -> None:
    with pytest.raises(ModelError, match="looks at logits") as caught:
        retrofit(network(end), [{"kind": step}], data=LABELLED)
    assert said in str(caught.value)
    assert "factory" in str(caught.value)
    assert "kind: reestimate" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_map_is_exported_and_reopened(tmp_path: Path) -> None:
    import onnxruntime

    outcome = retrofit(network("map"), [{"kind": "reestimate"}], data=LABELLED)
    outcome.save(tmp_path)
    x = torch.stack([x for x, _ in LABELLED[:3]])
    session = onnxruntime.InferenceSession(str(tmp_path / "tuned.onnx"))
    (served,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(served, outcome.model(x), rtol=1e-4, atol=1e-5)
