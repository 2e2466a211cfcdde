"""Layers called several times in a pass: statistics that are those of all their inputs when the network runs so."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from calibrate.stats.anderson import next_point
from calibrate.stats.gathered import Gathering, out_of_order
from calibrate.stats.moments import Moments
from calibrate.stats.store import Stored, store_, stored
from calibrate.surgery import eps_of

#: Where no statistic is further off than this, in standard deviations and log variance, the rounds end.
CLOSE = 1e-4
#: The rounds end here at the latest.
ROUNDS = 60

#: Gathers from layers, of which the second ones normalise by what they have; passes end behind the call so numbered.
Gather = Callable[[Mapping[nn.Module, str], Collection[nn.Module], int | None], Gathering]
#: What a layer is to store, where these are the moments of its inputs over so many images.
Mix = Callable[[nn.Module, Moments, int], Stored]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A layer that is called ``calls`` times in a pass, and how far its statistics are from those of its inputs.

    With m and v the mean and variance of all its inputs while the network runs in evaluation mode with what is stored,
    mixed with the old ones where there is a prior: ``mean`` is the largest |m − rm| / √(v + eps) over its channels,
    ``log_variance`` the largest |log((v + eps) / (rv + eps))|, each less what two units in the last place of the
    layer's type make. NaN where they were not measured. ``rounds`` is the number of passes that brought them together.
    """

    calls: int
    rounds: int
    mean: float = float("nan")
    log_variance: float = float("nan")

    @property
    def distance(self) -> float:
        """The larger of the two."""
        return max(self.mean, self.log_variance)


def called_several_times(layers: Mapping[nn.Module, str], calls: Sequence[str]) -> dict[nn.Module, str]:
    """Those of ``layers`` whose names are more than once among the ``calls`` of a pass."""
    return {layer: name for layer, name in layers.items() if calls.count(name) > 1}


def distance(layer: nn.Module, wanted: Stored) -> tuple[float, float]:
    """How far what ``layer`` has stored is from the ``wanted`` (C,) in float64: see :class:`Repeated`."""
    (mean, variance), (target, spread) = (buffer.double() for buffer in stored(layer)), wanted
    unit, wide = 2 * torch.finfo(stored(layer)[0].dtype).eps, spread + eps_of(layer)
    means = ((target - mean).abs() - unit * target.abs()) / wide.sqrt()
    logs = (wide / (variance + eps_of(layer))).log().abs() - unit
    return _largest(means), _largest(logs)


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """What the layers had stored, what was gathered, and how far that is from each."""

    values: Mapping[nn.Module, Stored]
    gathering: Gathering
    distances: Mapping[nn.Module, tuple[float, float]]

    @property
    def furthest(self) -> float:
        return max(max(both) for both in self.distances.values())


def settle_repeated_(
    layers: Mapping[nn.Module, str], first: Gathering, mix: Mix, gather: Gather, tell: Callable[[int, int], None]
) -> tuple[dict[str, Moments], dict[str, Repeated]]:
    """Give layers called several times the statistics of all their inputs in inference, and say how far off these are.

    In the ``first`` gathering each call normalised by its own moments; rounds start from the pool of these. In each
    round the layers normalise by what they have stored, at every call, and the ordinary ones between them are settled
    in order on what they then get; :func:`next_point`, on means and log variances, says what to store for the next.
    What came nearest stays, and the layers behind are settled on it. Also returns the moments that are others now.

    Cost: a pass as far as the last of these calls for each round, and one where there are ordinary layers behind.
    """
    several = called_several_times(layers, first.names)
    if not several:
        return {}, {}
    places = [place for place, name in enumerate(first.names) if first.names.count(name) > 1]
    within, after = first.names[places[0] : places[-1] + 1], first.names[places[-1] + 1 :]
    between = {layer: name for layer, name in layers.items() if layer not in several and name in within}
    behind = {layer: name for layer, name in layers.items() if name in after}
    values = {layer: mix(layer, first.moments[name], first.images) for layer, name in several.items()}
    widths = {layer: (variance + eps_of(layer)).sqrt() for layer, (_, variance) in values.items()}
    points, images, rounds = [_coordinates(values, widths)], list[Tensor](), list[_Round]()
    while True:
        for layer, statistics in values.items():
            store_(layer, *statistics)
        gathering = gather({**several, **between}, several, len(within))
        if gathering.names != within:
            raise out_of_order(f"{len(within)} calls are made in one pass, {len(gathering.names)} in another")
        wanted = {layer: mix(layer, gathering.moments[name], first.images) for layer, name in several.items()}
        distances = {layer: distance(layer, statistics) for layer, statistics in wanted.items()}
        rounds.append(_Round(values, gathering, distances))
        tell(len(rounds), ROUNDS)
        images.append(_coordinates(wanted, widths))
        point = next_point(points, images)
        if rounds[-1].furthest <= CLOSE or len(rounds) == ROUNDS or point is None:
            break
        points.append(point)
        values = _statistics(point, widths)
    best = min(rounds, key=lambda made: made.furthest)
    if best is not rounds[-1]:
        for layer, statistics in best.values.items():
            store_(layer, *statistics)
        behind = {**between, **behind}
    moments = dict(best.gathering.moments)
    if behind:
        moments |= gather(behind, (), None).moments
    tell(ROUNDS, ROUNDS)
    left = {
        name: Repeated(first.names.count(name), len(rounds), *best.distances[layer]) for layer, name in several.items()
    }
    return moments, left


def measure_repeated(
    layers: Mapping[nn.Module, str], first: Gathering, mix: Mix, gather: Gather | None
) -> dict[str, Repeated]:
    """How far layers called several times in ``first`` are from the statistics of their inputs in inference.

    Cost: a pass where there are such layers; without ``gather`` none, and nothing is measured.
    """
    several = called_several_times(layers, first.names)
    if not several or gather is None:
        return {name: Repeated(first.names.count(name), 0) for name in several.values()}
    found = gather(several, several, None)
    wanted = {layer: mix(layer, found.moments[name], found.images) for layer, name in several.items()}
    return {
        name: Repeated(first.names.count(name), 0, *distance(layer, wanted[layer])) for layer, name in several.items()
    }


def _largest(distances: Tensor) -> float:
    return max(float(distances.nan_to_num(torch.inf, torch.inf, -torch.inf).max()), 0.0)


def _coordinates(values: Mapping[nn.Module, Stored], widths: Mapping[nn.Module, Tensor]) -> Tensor:
    """Means in the ``widths`` of their layer, and log variances, one after the other."""
    parts = [(mean / widths[layer], (variance + eps_of(layer)).log()) for layer, (mean, variance) in values.items()]
    return torch.cat([part.cpu() for both in parts for part in both])


def _statistics(point: Tensor, widths: Mapping[nn.Module, Tensor]) -> dict[nn.Module, Stored]:
    """What has the coordinates ``point``."""
    values: dict[nn.Module, Stored] = {}
    for layer, width in widths.items():
        mean, log = point[: 2 * len(width)].to(width.device).chunk(2)
        values[layer] = mean * width, (log.exp() - eps_of(layer)).clamp_min(0)
        point = point[2 * len(width) :]
    return values
