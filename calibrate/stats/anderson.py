"""Anderson acceleration: where a map that can only be evaluated has its fixed point."""

from collections.abc import Sequence

import torch
from torch import Tensor

#: Points that the next one is made of, besides the best.
MEMORY = 16
#: Ridge penalty, relative to the residuals' differences: those of many points are nearly collinear.
RIDGE = 1e-3
#: The furthest that the next point lies from the best one, in any coordinate.
REACH = 0.5
#: A point is of use while its residual is within so many times the best one's; beyond, the map is another there.
USEFUL = 100.0


def next_point(points: Sequence[Tensor], images: Sequence[Tensor]) -> Tensor | None:
    """Where to evaluate a map next, (n,), given its ``images`` g(u) of the ``points`` u so far; None if none is finite.

    With residuals f = g(u) − u, of the affine combinations Σ w_i u_i the one whose residual Σ w_i f_i is shortest, and
    to that its residual; but no further than ``REACH`` from the point with the shortest residual, and nearer, by a
    factor of 4 each, after points that turned out useless. It depends on its arguments alone. It is g(u) while there
    is one point, and the secant method where n = 1.
    Cost: least squares over n coordinates and ``MEMORY`` unknowns.

    Reference: Anderson, Iterative Procedures for Nonlinear Integral Equations, 1965, §4; Walker & Ni, Anderson
    Acceleration for Fixed-Point Iterations, 2011, §2 (type II, with a bound on the step).

    >>> points, images = [torch.zeros(1, dtype=torch.float64)], []
    >>> for _ in range(12):
    ...     images.append(1.2 - 3 * points[-1])
    ...     points.append(next_point(points, images))
    >>> round(float(points[-1]), 6)
    0.3
    """
    residuals = [image - point for point, image in zip(points, images, strict=True)]
    lengths = [float(residual.norm()) if bool(residual.isfinite().all()) else float("inf") for residual in residuals]
    best = min(range(len(lengths)), key=lengths.__getitem__)
    if lengths[best] == float("inf"):
        return None
    useful = [place for place, length in enumerate(lengths) if length <= USEFUL * lengths[best]]
    moves, changes = (
        torch.stack([values[place] - values[best] for place in useful[-MEMORY - 1 :]], 1)
        for values in (points, residuals)
    )
    scales = changes.norm(dim=0)
    moves, changes = (differences[:, scales > 0] / scales[scales > 0] for differences in (moves, changes))
    step = residuals[best]
    if changes.numel():
        ridge = RIDGE * torch.eye(changes.shape[1], dtype=changes.dtype)
        wanted = torch.cat([-step, torch.zeros(len(ridge), dtype=step.dtype)])
        weights = torch.linalg.lstsq(torch.cat([changes, ridge]), wanted[:, None]).solution
        step = step + ((moves + changes) @ weights)[:, 0]
    reach = REACH / 4 ** sum(place not in useful for place in range(best, len(lengths)))
    longest = float(step.abs().max())
    return points[best] + step * min(1.0, reach / longest) if longest else points[best]
