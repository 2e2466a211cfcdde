"""The search for λ: how much of their stored statistics the layers keep, one weight for all or a line over depth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from calibrate.search.gain import Gain
from calibrate.search.mix_criteria import MixCriterion, ScoredMix
from calibrate.steps import MixPoint, SearchStatistics, StatisticsChoice

#: How far λ at the first and at the last layer are tried from the best single one.
TILT = 0.25


class Mix(NamedTuple):
    """λ at the first and at the last layer; between them it is linear in the order of the layers."""

    first: float
    last: float

    @property
    def is_single(self) -> bool:
        """Whether all layers have the same λ."""
        return self.first == self.last

    def __str__(self) -> str:
        return f"{self.first:.4g}" if self.is_single else f"{self.first:.4g} → {self.last:.4g}"


#: Below so many examples the margin grows as FEW / n: the new statistics are of the same examples that judge them,
#: which favours them. ResNet-20 on JPEG images, with one standard error: 42 % of 48 draws of 16 images were worse than
#: λ = 1 on others, and 4 % of 53 draws of 64.
FEW = 64

#: The network as it came.
STORED = Mix(1.0, 1.0)

#: The logits (n, K) of the examples to choose on, where the layers mix their statistics so.
LogitsOf = Callable[[Mix], Tensor]


@dataclass(eq=False)
class _Tried:
    """What was tried, scored; the first is the network as it came."""

    logits_of: LogitsOf
    criterion: MixCriterion
    scored: dict[Mix, ScoredMix] = field(default_factory=dict)

    @property
    def singles(self) -> list[Mix]:
        return [mix for mix in self.scored if mix.is_single]

    def try_(self, mix: Mix) -> None:
        if mix not in self.scored:
            self.scored[mix] = self.criterion.score(self.logits_of(mix))

    def value(self, mix: Mix) -> float:
        return self.scored[mix].value

    def best(self, mixes: Sequence[Mix]) -> Mix:
        """The lowest of ``mixes``; of equal ones that which keeps the most."""
        return min(mixes, key=lambda mix: (self.value(mix), -mix.first - mix.last))

    def gain(self, before: Mix, after: Mix) -> Gain:
        return self.criterion.gain(self.scored[before], self.scored[after])


def search_statistics(
    logits_of: LogitsOf, criterion: MixCriterion, step: SearchStatistics, *, layers: int, examples: int
) -> StatisticsChoice:
    """Choose the mix of stored and re-estimated statistics at which ``criterion`` is lowest.

    First the network as it came and the λ's of the grid, then two points around the best; with ``step.search`` line,
    and more than one of ``layers``, lines over depth around the best single λ: tilted by a quarter to either side, and
    to the better one by twice as much, then by three times, or 1.5 where twice was worse. The best single λ is taken
    where it beats λ = 1 by more than ``step.margin`` standard errors of the paired difference, and a line where it so
    beats both; with less than ``FEW`` of the ``examples``, by FEW / examples times as many.

    Cost: ``logits_of`` is called for λ = 1, and at most 9 times beyond with a grid of three.
    """
    tried = _Tried(logits_of, criterion)
    for weight in (1.0, *step.grid):
        tried.try_(Mix(weight, weight))
    for weight in around(tried.best(tried.singles).first, [mix.first for mix in tried.singles]):
        tried.try_(Mix(weight, weight))
    single = tried.best(tried.singles)
    if step.search == "line" and layers > 1:
        _try_lines_(tried, single.first)
    best, margin = tried.best([*tried.scored]), margin_for(step, examples)
    chosen = single if tried.gain(STORED, single).beats(margin) else STORED
    if not best.is_single and all(tried.gain(other, best).beats(margin) for other in (STORED, single)):
        chosen = best
    return StatisticsChoice(
        points=_points(tried),
        chosen=chosen,
        best=best,
        best_single=single.first,
        gain=tried.gain(STORED, chosen).mean,
        standard_error=tried.gain(STORED, chosen).standard_error,
        reason=_reason(tried, chosen, best, margin),
    )


def margin_for(step: SearchStatistics, examples: int) -> float:
    """The standard errors by which so many examples must prefer new statistics.

    >>> [margin_for(SearchStatistics(), n) for n in (16, 64, 2500)]
    [4.0, 1.0, 1.0]
    """
    return step.margin * max(1.0, FEW / examples)


def around(best: float, tried: Sequence[float]) -> list[float]:
    """Two points around the ``best`` of the λ's that were tried, between it and its neighbours.

    >>> around(0.6, [1.0, 0.9, 0.6, 0.0]), around(1.0, [1.0, 0.9, 0.6, 0.0])
    ([0.75, 0.3], [0.95, 0.975])
    """
    above, below = min((x for x in tried if x > best), default=None), max((x for x in tried if x < best), default=None)
    if above is not None and below is not None:
        return [_middle(best, above), _middle(best, below)]
    neighbour = below if above is None else above
    assert neighbour is not None, "a grid has a λ below 1"
    return [_middle(best, neighbour), _middle(best, _middle(best, neighbour))]


def tilted(middle: float, tilt: float) -> Mix:
    """The line from λ = ``middle`` + ``tilt`` at the first layer to ``middle`` − ``tilt`` at the last, in [0, 1].

    >>> tilted(0.8, 0.25), tilted(0.25, -0.5)
    (Mix(first=1.0, last=0.55), Mix(first=0.0, last=0.75))
    """
    return Mix(*(round(min(1.0, max(0.0, middle + part)), 12) for part in (tilt, -tilt)))


def _try_lines_(tried: _Tried, middle: float) -> None:
    for tilt in (TILT, -TILT):
        tried.try_(tilted(middle, tilt))
    better = min((TILT, -TILT), key=lambda tilt: tried.value(tilted(middle, tilt)))
    near, far = tilted(middle, better), tilted(middle, 2 * better)
    if tried.value(near) >= tried.value(Mix(middle, middle)):
        return
    tried.try_(far)
    tried.try_(tilted(middle, (3 if tried.value(far) < tried.value(near) else 1.5) * better))


def _middle(one: float, other: float) -> float:
    return round((one + other) / 2, 12)


def _runner_up(tried: _Tried) -> Mix:
    return tried.best([mix for mix in tried.scored if mix != STORED])


def _points(tried: _Tried) -> tuple[MixPoint, ...]:
    """All that was tried, single λ's first, from 1 down; then lines, as they were tried."""
    order = [*sorted(tried.singles, reverse=True), *(mix for mix in tried.scored if not mix.is_single)]
    scored = [tried.scored[mix] for mix in order]
    return tuple(
        MixPoint(
            first=mix.first,
            last=mix.last,
            value=item.value,
            low=low,
            high=high,
            nll=item.nll,
            temperature=item.temperature,
            top1=item.top1,
        )
        for mix, item, (low, high) in zip(order, scored, tried.criterion.bands(scored), strict=True)
    )


def _reason(tried: _Tried, chosen: Mix, best: Mix, margin: float) -> str:
    what = tried.criterion.words
    if best == STORED:
        rival = _runner_up(tried)
        gap = abs(tried.gain(STORED, rival).mean)
        return f"no new statistics lowered {what}; the next best, λ = {rival}, raised it by {gap:.4f} nats"
    if chosen == STORED:
        return f"λ = {best} lowered {what} only {tried.gain(STORED, best).words(margin)}, so the stored statistics stay"
    reason = f"λ = {chosen} lowered {what} {tried.gain(STORED, chosen).words(margin)}"
    if best != chosen:
        return f"{reason}; λ = {best} had less by {tried.gain(chosen, best).mean:.4f}, which is within its noise"
    if chosen.is_single:
        return reason
    single = tried.best(tried.singles)
    return f"{reason}, and that of one λ for all layers, {single}, {tried.gain(single, chosen).words(margin)}"
