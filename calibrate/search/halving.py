"""Successive halving over α: many α's on few examples, the best of them on more, the winner on all."""

from calibrate.search.landscape import Landscape

#: α's tried beside 0, evenly spaced in √α; FEW_TRIED where every α costs a whole pass.
TRIED = 8
FEW_TRIED = 2

#: Two α's whose roots are nearer than this share of the largest root are the same.
SAME = 0.01


def close_in_(landscape: Landscape, maximum: float, refinements: int) -> float:
    """The α in [0, ``maximum``] with the lowest cross-entropy after its temperature, evaluated on all examples, like 0.

    A grid even in √α on the first level's examples; its best and the two beside it on the second's; there,
    ``refinements`` times, the minimum of the parabola in √α through the best and its neighbours (or, where the best
    is the outermost, the next of the grid); then the best of these on all. All compared α's see the same examples.

    Cost: with an eighth e, the second level s and n examples, at most n + 8e + 3(s - e) + 2s + (n - s) ≤ 4.875 n at 2
    refinements; 5 passes where every α sees all examples.
    Limits: between two α's of the grid a second, narrower valley goes unseen.
    Reference: Jamieson & Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016,
    section 3.
    """
    tried = TRIED if len(landscape.ends) > 1 else FEW_TRIED
    grid = even_in_root(maximum, tried)
    landscape.evaluate_(0.0, -1)
    first = {alpha: _nll_(landscape, alpha, 0) for alpha in grid}
    middle = min(max(grid.index(lowest(first)), 1), tried - 1)
    second = len(landscape.ends) // 2
    seen = {alpha: _nll_(landscape, alpha, second) for alpha in grid[middle - 1 : middle + 2]}
    for _ in range(refinements):
        alpha = next_alpha(seen, grid)
        if alpha is None:
            break
        seen[alpha] = _nll_(landscape, alpha, second)
    best = lowest(seen)
    landscape.evaluate_(best, -1)
    return best


def even_in_root(maximum: float, tried: int) -> list[float]:
    """0, and ``tried`` α's up to ``maximum``, evenly spaced in √α.

    >>> even_in_root(0.5, 4)
    [0.0, 0.03125, 0.125, 0.28125, 0.5]
    """
    return [maximum * (number / tried) ** 2 for number in range(tried + 1)]


def _nll_(landscape: Landscape, alpha: float, level: int) -> float:
    return float(landscape.fit_(alpha, level).nll.mean())


def lowest(seen: dict[float, float]) -> float:
    """The α with the lowest value, of several the smallest."""
    return min(seen, key=lambda alpha: (seen[alpha], alpha))


def next_alpha(seen: dict[float, float], grid: list[float]) -> float | None:
    """Where to look next, or None where the parabola points at what was seen already."""
    visited = sorted(seen)
    best = lowest(seen)
    if best == visited[0] and best > grid[0]:
        return max(alpha for alpha in grid if alpha < best)
    if best == visited[-1] and best < grid[-1]:
        return min(alpha for alpha in grid if alpha > best)
    place = visited.index(best)
    middle = min(max(place, 1), len(visited) - 2)
    triple = visited[middle - 1 : middle + 2]
    low, high = (visited[min(max(place + side, 0), len(visited) - 1)] ** 0.5 for side in (-1, 1))
    root = _vertex([alpha**0.5 for alpha in triple], [seen[alpha] for alpha in triple])
    if root is None or not low < root < high:
        root = (low + best**0.5) / 2 if best**0.5 - low > high - best**0.5 else (best**0.5 + high) / 2
    nearest = min(abs(root - alpha**0.5) for alpha in visited)
    return None if nearest < SAME * grid[-1] ** 0.5 else root**2


def _vertex(x: list[float], y: list[float]) -> float | None:
    """Where the parabola through three points has its minimum, if it has one."""
    left, right = (y[1] - y[0]) / (x[1] - x[0]), (y[2] - y[1]) / (x[2] - x[1])
    bend = (right - left) / (x[2] - x[0])
    return (x[0] + x[1]) / 2 - left / (2 * bend) if bend > 0 else None
