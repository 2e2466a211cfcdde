"""Anderson acceleration on maps whose fixed point is known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from calibrate.stats.anderson import REACH, next_point

Map = Callable[[Tensor], Tensor]


def tried(made: Map, start: Tensor, steps: int) -> list[Tensor]:
    points, images = [start], [made(start)]
    for _ in range(steps):
        point = next_point(points, images)
        assert point is not None
        points.append(point)
        images.append(made(point))
    return points


def linear(slopes: "list[float]") -> tuple[Map, Tensor]:
    """A map with these eigenvalues, and its fixed point."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(len(slopes), len(slopes), generator=generator, dtype=torch.float64))[0]
    matrix = basis @ torch.diag(torch.tensor(slopes, dtype=torch.float64)) @ basis.T
    fixed = torch.randn(len(slopes), generator=generator, dtype=torch.float64) / 10
    return lambda u: fixed + matrix @ (u - fixed), fixed


@pytest.mark.parametrize("slopes", [[0.9, 0.5, -0.5], [-9.0, -3.0, 0.2, 0.9], [-1.0] * 5, [0.0] * 3])
def test_a_linear_map_takes_few_more_steps_than_it_has_slopes(slopes: "list[float]") -> None:
    """Most of these go apart, or to and fro for ever, where a map is applied over and over."""
    made, fixed = linear(slopes)
    points = tried(made, torch.zeros(len(slopes), dtype=torch.float64), len(set(slopes)) + 5)
    assert float((points[-1] - fixed).abs().max()) < 1e-4


def test_one_point_gives_its_image_and_no_step_is_longer_than_its_reach() -> None:
    near, far = torch.tensor([0.1, -0.2]), torch.tensor([3.0, -30.0])
    assert next_point([torch.zeros(2)], [near]).tolist() == near.tolist()
    assert next_point([torch.zeros(2)], [far]).tolist() == pytest.approx([REACH / 10, -REACH])


def test_what_is_not_finite_brings_the_next_point_nearer_to_the_best_and_is_never_built_on() -> None:
    def breaks(u: Tensor) -> Tensor:
        return torch.where(u < 0.02, u + 0.3, torch.nan)

    points = tried(breaks, torch.zeros(1, dtype=torch.float64), 3)
    assert [float(point) for point in points] == pytest.approx([0, 0.3, 0.5 / 4, 0.5 / 16])
    assert next_point(points[1:2], [breaks(points[1])]) is None


def test_a_fixed_point_stays() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    assert next_point([zero], [zero]).tolist() == [0, 0, 0]
    assert next_point([zero, zero], [zero, zero]).tolist() == [0, 0, 0]
