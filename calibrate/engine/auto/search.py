"""The search among candidates on the calibration half: all of them, or the better ones of many by successive halving.

Reference: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization, 2016,
section 3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from calibrate.engine.auto.budget import Budget, deferred, expected, expected_of_all, first_share
from calibrate.engine.auto.forks import Forks
from calibrate.engine.run import Run
from calibrate.errors import AfternormError, NonFiniteError, TrialsError
from calibrate.generators import numpy_generator
from calibrate.search import Candidacy, paired_gap
from calibrate.steps import Auto, Candidate, Rung, TuningStep

#: Why a network whose logits are not finite has no place.
NON_FINITE = "it gives logits that are infinite or not a number"


@dataclass(eq=False)
class CandidateSearch:
    """What came of the candidates: ``finished`` runs by name, notes on the others, and the rounds there were."""

    finished: dict[str, Run] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    not_tried: dict[str, str] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    rungs: list[Rung] = field(default_factory=list)


def search_candidates(base: Run, step: Auto, budget: Budget) -> CandidateSearch:
    """Carry the candidates out on the calibration half of ``base``, as far as the budget goes; the passes count there.

    Where the budget does not pay for all of them on all examples, a first round sees an eighth of these (64 at least),
    and the better half of its candidates goes on to twice as many. No round takes more than half of what is left, and a
    candidate that could not be paid for on all examples is not tried.
    """
    search, n = CandidateSearch(), len(base.given.split.calibration)
    costs = {candidate.name: expected(candidate, step, base.given.handlers) for candidate in step.candidates}

    def left() -> float:
        measured = 1 + len(search.finished)
        return budget.left(base.notes.forwards / n) - deferred(step) * measured

    within = left()
    alive = [candidate for candidate in step.candidates if costs[candidate.name] <= within]
    search.not_tried |= {
        candidate.name: f"about {costs[candidate.name]:.3g} passes, and {within:.3g} were left"
        for candidate in step.candidates
        if candidate not in alive
    }
    first = costs[alive[0].name] if alive else 0.0
    share = first_share(expected_of_all(alive, step, base.given.handlers), first, within, n)
    while share < 1 and alive:
        alive = _halve_(search, base, alive, share, costs, left)
        share *= 2
    forks = Forks(base)
    for candidate in alive:
        if costs[candidate.name] - forks.known(candidate.steps) > left():
            _leave_out_(search, candidate)
        elif (run := _carried_out_(search, base, forks, candidate, _names(alive))) is not None:
            search.finished[candidate.name] = run
    return search


def candidacy(name: str, run: Run) -> Candidacy:
    """A run's cross-entropy after its temperature, on those examples of its half that it did not learn from."""
    nll = run.model_temperature().nll.numpy()
    return Candidacy(name, np.arange(len(nll)) if run.state.held_back is None else run.state.held_back.numpy(), nll)


def _carried_out_(
    search: CandidateSearch,
    base: Run,
    forks: Forks,
    candidate: Candidate,
    names: Mapping[tuple[TuningStep, ...], str],
) -> Run | None:
    """The run of ``candidate``; None, and why, where it comes to nothing, or to another of the ``names``."""
    before = forks.made
    try:
        left = tuple(forks.without_idle_steps(candidate.steps))
        if left != candidate.steps and (same := names.get(left)) is not None:
            search.not_applicable[candidate.name] = f"it is the same as {same}: what comes before changed nothing"
            return None
        run = forks.carry_out(candidate.steps)
        run.model_logits()
        return run
    except TrialsError:
        raise
    except NonFiniteError:
        search.not_applicable[candidate.name] = NON_FINITE
        return None
    except AfternormError as error:
        search.not_applicable[candidate.name] = str(error)
        return None
    finally:
        base.notes.forwards += forks.made - before


def _names(candidates: Sequence[Candidate]) -> Mapping[tuple[TuningStep, ...], str]:
    return {candidate.steps: candidate.name for candidate in candidates}


def _leave_out_(search: CandidateSearch, candidate: Candidate) -> None:
    """Note that the budget ends here for ``candidate``."""
    if search.rungs:
        search.dropped[candidate.name] = f"the budget ended after {search.rungs[-1].examples} examples"
    else:
        search.not_tried[candidate.name] = "the budget did not reach so far"


def _halve_(
    search: CandidateSearch,
    base: Run,
    alive: Sequence[Candidate],
    share: float,
    costs: Mapping[str, float],
    left: Callable[[], float],
) -> list[Candidate]:
    """The better half of ``alive`` on ``share`` of the calibration half, best first."""
    n, floor = len(base.given.split.calibration), left() / 2
    rows = np.sort(numpy_generator(base.given.seed).permutation(n)[: int(share * n)])
    assert base.original_logits is not None, "the original network was looked at first"
    part = replace(
        base,
        given=replace(base.given, split=replace(base.given.split, calibration=base.given.split.calibration[rows])),
        original_logits=base.original_logits[torch.from_numpy(rows)],
    )
    forks, baseline, gaps = Forks(part), candidacy("T", part), dict[str, float]()
    for candidate in alive:
        if left() - share * costs[candidate.name] < floor:
            _leave_out_(search, candidate)
        elif (run := _carried_out_(search, base, forks, candidate, _names(alive))) is not None:
            gaps[candidate.name] = paired_gap(candidacy(candidate.name, run), baseline)[0]
    best_first = sorted(gaps, key=gaps.__getitem__)
    kept = best_first[: -(-len(gaps) // 2)]
    for name in best_first[len(kept) :]:
        search.dropped[name] = f"NLL {gaps[name]:+.4f} against T on {len(rows)} examples; {len(kept)} had less"
    search.rungs.append(Rung(examples=len(rows), tried=tuple(gaps), kept=tuple(kept)))
    by_name = {candidate.name: candidate for candidate in alive}
    return [by_name[name] for name in kept]
