"""The step ``auto``: candidates, the choice among them, and what is recommended and kept."""

import json
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from calibrate.data import InDomains, cached
from calibrate.engine.auto.budget import Budget
from calibrate.engine.auto.forks import Forks
from calibrate.engine.auto.leaderboard import clean_changes_, holdout_scores, in_order, leaderboard_row
from calibrate.engine.auto.search import NON_FINITE, CandidateSearch, candidacy, search_candidates
from calibrate.engine.handler import Given, Handler
from calibrate.engine.run import Run
from calibrate.engine.steps.measure import compare_
from calibrate.engine.streams.batches import in_domain
from calibrate.errors import DataError
from calibrate.metrics import paired_interval
from calibrate.recipe import Recipe
from calibrate.search import Candidacy, choose_simplest, cross_entropy, paired_gap
from calibrate.steps import ORIGINAL, Auto, HoldoutScores, Leaderboard, Measure, Temperature, TuningStep, verdict_of


def auto_(run: Run, step: Auto) -> None:
    """Keep what the leaderboard recommends in ``run``; its measurement then is of that, on the same examples."""
    budget = Budget(step)
    base = _on_shifts(run, step)
    with_t = Forks(base).carry_out(())
    base.notes.forwards, base.original_logits = with_t.notes.forwards, with_t.original_logits
    assert base.original_logits is not None, "its temperature was fitted"
    search = search_candidates(base, step, budget)
    runs, logits = _on_holdout_(base, with_t, step, search)

    original, baseline = _baselines(base)
    candidacies = [original, baseline, *(candidacy(name, runs[name]) for name in [*runs][2:])]
    clean = clean_changes_(run, runs, run.given.split.calibration) if step.shifts else {}
    allowed = [item for item in candidacies[2:] if paired_gap(item, baseline)[0] < 0]
    allowed = [item for item in allowed if not clean or clean[item.name].value >= -step.guardrail]
    chosen = choose_simplest([original, baseline, *allowed], step.margin).name
    fallback = choose_simplest([original, baseline], step.margin).name

    clean = clean_changes_(run, runs, run.given.split.holdout) if step.shifts else {}
    measured = holdout_scores(base, step, runs, logits, clean)
    recommended, reason = _recommended(chosen, fallback, measured, step, len(run.given.split.holdout))
    run.notes.graphs = {
        held.graph: runs[name].state.model for name, held in reversed(measured.items()) if not held.folds
    }
    known = {finding.code for finding in base.notes.findings}
    rows = [leaderboard_row(item, baseline, runs[item.name], measured[item.name], known) for item in candidacies]
    run.notes.forwards += base.notes.forwards
    board = Leaderboard(
        n=len(run.given.split.holdout),
        resamples=step.resamples,
        rows=in_order(step, rows, search),
        chosen=chosen,
        recommended=recommended,
        recipe=None if recommended is None else json.loads(_alone(run.given.seed, step, recommended).canonical),
        reason=reason,
        passes=run.notes.forwards / len(run.given.split.calibration),
        rungs=tuple(search.rungs),
        domains=tuple(domain.title for domain in step.shifts),
        guardrail=step.guardrail if step.shifts else None,
    )
    run.add_outcome_(board)
    run.notes.steps = _steps_of(step, recommended)
    _adopt_(run, runs[recommended or ORIGINAL], step, board, (logits[ORIGINAL], logits[recommended or ORIGINAL]))


def check_guardrail(step: Auto, examples: int) -> None:
    """Raise DataError where so few held-out examples cannot show that the data as they are stay within the guardrail.

    A network that changes no prediction has an interval of its own: it may yet change some of those not seen.
    """
    least = -paired_interval(0, 0, examples)[0]
    if step.shifts and step.guardrail < least:
        raise DataError(
            f"the guardrail is {100 * step.guardrail:g} points of top-1, and {examples} held-out examples cannot show "
            f"that less than {100 * least:.2g} are lost, even where no prediction changes; add data, or raise it."
        )


def _on_holdout_(
    base: Run, with_t: Run, step: Auto, search: CandidateSearch
) -> tuple[dict[str, Run], dict[str, Tensor]]:
    """The original network, without and with T, and the candidates that give numbers there; and these, by name."""
    original = base.on_holdout(base.given.original, "leaderboard, original")
    runs, logits = {ORIGINAL: base, "T": with_t}, {ORIGINAL: original, "T": original}
    for name in (item.name for item in step.candidates if item.name in search.finished):
        found = base.on_holdout(search.finished[name].state.model, f"leaderboard, {name}")
        if found.isfinite().all():
            runs[name], logits[name] = search.finished[name], found
        else:
            search.not_applicable[name] = NON_FINITE
    return runs, logits


def _on_shifts(run: Run, step: Auto) -> Run:
    """A fork of ``run`` whose examples come in the step's domains, where it has any."""
    base = run.fork()
    base.notes.forwards = 0
    if step.shifts:
        source = cached(run.given.source)
        domains = [in_domain(source, domain, run.given.seed) for domain in step.shifts]
        base.given = replace(base.given, source=cached(InDomains(domains, run.given.seed)))
    return base


def _baselines(base: Run) -> tuple[Candidacy, Candidacy]:
    """The original network, without and with its temperature."""
    assert base.original_logits is not None, "its temperature was fitted"
    without = cross_entropy(base.original_logits, base.calibration_labels, 1.0)
    return Candidacy(ORIGINAL, np.arange(len(without)), without.numpy()), candidacy("T", base)


def _recommended(
    chosen: str, fallback: str, measured: dict[str, HoldoutScores], step: Auto, examples: int
) -> tuple[str | None, str]:
    """What ``examples`` held out confirm: the chosen candidate, or else the temperature if that was the next choice."""
    if chosen == ORIGINAL:
        return None, (f"on the calibration half nothing beats the original network by more than {_errors(step)}")
    first = f"{chosen}, the simplest within {_errors(step)} of the best on the calibration half"
    clean = measured[chosen].clean
    if clean is not None and clean.low < -step.guardrail:
        failed = (
            f"{first}, may cost more than {100 * step.guardrail:g} points of top-1 on the data as they are "
            f"(interval [{100 * clean.low:+.2f}, {100 * clean.high:+.2f}])"
        )
    elif measured[chosen].verdict == "improved" and verdict_of(measured[chosen].against_original, examples) != "worse":
        return chosen, f"{first}, improves on {'the original network' if chosen == 'T' else 'T'} on the holdout half"
    else:
        failed = f"{first}, is not shown to improve on T by the holdout half"
    if chosen != "T" and fallback == "T" and measured["T"].verdict == "improved":
        return "T", f"{failed}; T alone improves on the original network"
    return None, failed


def _errors(step: Auto) -> str:
    return f"{step.margin:g} standard error{'' if step.margin == 1 else 's'}"


def _steps_of(step: Auto, name: str | None) -> tuple[TuningStep, ...]:
    return next((item.steps for item in step.candidates if item.name == name), ())


def _alone(seed: int, step: Auto, name: str) -> Recipe:
    """The recipe that gives the recommended network, and its numbers, without the others."""
    if step.shifts:
        only = tuple(item for item in step.candidates if item.name == name)
        fields = {field: getattr(step, field) for field in ("shifts", "guardrail", "resamples", "bins")}
        return Recipe(seed=seed, steps=(Auto(candidates=only, margin=0.0, **fields),))
    measure = Measure(resamples=step.resamples, bins=step.bins)
    return Recipe(seed=seed, steps=(*_steps_of(step, name), Temperature(), measure))


def _adopt_(run: Run, chosen: Run, step: Auto, board: Leaderboard, logits: tuple[Tensor, Tensor]) -> None:
    """Let ``run`` stand where ``chosen`` stands, with the measurement of that on its own examples.

    ``logits`` are the original network's on the holdout half, and those of ``chosen``.
    """
    original, tuned = logits
    measured = chosen.fork()
    asked = Measure(resamples=step.resamples, bins=step.bins)
    compare_(measured, asked, original, tuned if chosen.state.changed else None, board.domains)
    run.adopt_(measured)
    run.notes.measured = chosen.given.source
    run.notes.verdict, run.notes.reasons = measured.notes.verdict, measured.notes.reasons
    if not chosen.state.changed:
        run.notes.verdict = "improved" if board.recommended else "no evidence"
        run.notes.reasons = (board.reason,)


class AutoHandler(Handler[Auto]):
    """Carries out Auto."""

    def check_data(self, step: Auto, given: Given, model: nn.Module) -> nn.Module:
        """See :meth:`Handler.check_data`."""
        check_guardrail(step, len(given.split.holdout))
        return model

    def run(self, run: Run, step: Auto) -> None:
        """See :meth:`Handler.run`."""
        auto_(run, step)
