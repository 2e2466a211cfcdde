"""The fingerprint knows values, names, shapes and types, and nothing else."""

import hashlib

import pytest
import torch

from calibrate.io import fingerprint

BASE = torch.arange(6, dtype=torch.float32).reshape(2, 3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_every_type_and_shape_has_one(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    zeros, ones = {"w": torch.zeros(shape, dtype=dtype)}, {"w": torch.ones(shape, dtype=dtype)}
    assert fingerprint(zeros) == fingerprint({"w": zeros["w"].clone()})
    assert (fingerprint(zeros) == fingerprint(ones)) == (0 in shape)


def test_layout_order_and_gradients_do_not_matter() -> None:
    state = {"a": BASE, "b": BASE.T}
    same = {"b": BASE.T.contiguous(), "a": BASE.clone().T.contiguous().T.requires_grad_()}
    assert fingerprint(state) == fingerprint(same)


@pytest.mark.parametrize(
    "other",
    [
        {"v": BASE},
        {"w": BASE.T},
        {"w": BASE.reshape(3, 2)},
        {"w": BASE.to(torch.int32)},
        {"w": BASE.view(torch.int32)},
        {"w": BASE + 0.0 * BASE - torch.tensor([[0.0, 0, 0], [0, 0, 1e-6]])},
        {"w": BASE, "x": torch.zeros(0)},
        {},
    ],
)
def test_everything_else_matters(other: dict[str, torch.Tensor]) -> None:
    assert fingerprint(other) != fingerprint({"w": BASE})


def test_it_is_the_documented_hash() -> None:
    digest = hashlib.sha256(b"('w', 'torch.float32', (2, 3))" + BASE.numpy().tobytes())
    assert fingerprint({"w": BASE}) == digest.hexdigest()
