"""The step ``auto``: candidates, the choice among them, and what is recommended and kept."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from calibrate.data import InDomains
from calibrate.engine.contest import candidacy, hold_contest
from calibrate.engine.forks import adopt_, fork
from calibrate.engine.measure import compare_
from calibrate.engine.run import Run
from calibrate.engine.standings import clean_changes_, held_out, in_order, standing
from calibrate.engine.streams import in_domain
from calibrate.recipe import Auto, Measure, Recipe, Temperature
from calibrate.result import HeldOut, Leaderboard
from calibrate.search import Candidacy, choose_simplest, cross_entropy, paired_gap


def auto_(run: Run, step: Auto) -> None:
    """Keep what the leaderboard recommends in ``run``; its measurement then is of that, on the same examples."""
    base = _on_shifts(run, step)
    with_t = base.plain_temperature()
    contest = hold_contest(base, step)
    runs = {"plain": base, "T": replace(base, temperature=with_t.value)}
    runs |= {item.name: contest.finished[item.name] for item in step.candidates if item.name in contest.finished}

    plain, yardstick = _baselines(base)
    candidacies = [plain, yardstick, *(candidacy(name, runs[name]) for name in [*runs][2:])]
    clean = clean_changes_(run, runs, run.split.calibration) if step.shifts else {}
    allowed = [item for item in candidacies[2:] if paired_gap(item, yardstick)[0] < 0]
    allowed = [item for item in allowed if not clean or clean[item.name].value >= -step.guardrail]
    chosen = choose_simplest([plain, yardstick, *allowed], yardstick, step.margin).name
    fallback = choose_simplest([plain, yardstick], yardstick, step.margin).name

    logits = {name: base.on_holdout(its.model, f"leaderboard, {name}") for name, its in runs.items() if name != "T"}
    clean = clean_changes_(run, runs, run.split.holdout) if step.shifts else {}
    measured = held_out(base, step, runs, {**logits, "T": logits["plain"]}, clean)
    recommended, reason = _recommended(chosen, fallback, measured, step)
    run.graphs = {held.graph: runs[name].model for name, held in reversed(measured.items()) if not held.folds}
    standings = [standing(item, yardstick, runs[item.name], measured[item.name]) for item in candidacies]
    run.forwards += base.forwards
    run.leaderboard = Leaderboard(
        n=len(run.split.holdout),
        resamples=step.resamples,
        standings=in_order(step, standings, contest),
        chosen=chosen,
        recommended=recommended,
        recipe=None if recommended is None else _alone(run.seed, step, recommended),
        reason=reason,
        passes=run.forwards / len(run.split.calibration),
        rungs=tuple(contest.rungs),
        domains=tuple(domain.title for domain in step.shifts),
        guardrail=step.guardrail if step.shifts else None,
    )
    _keep_(run, runs[recommended or "plain"], step, logits["plain"], logits.get(recommended or "plain"))


def _on_shifts(run: Run, step: Auto) -> Run:
    """A fork of ``run`` whose examples come in the step's domains, where it has any."""
    base = replace(fork(run), forwards=0)
    if step.shifts:
        domains = [in_domain(run.source, domain, run.seed) for domain in step.shifts]
        base = replace(base, source=InDomains(domains, run.seed))
    return base


def _baselines(base: Run) -> tuple[Candidacy, Candidacy]:
    """The network as it came, without and with its temperature."""
    assert base.plain_calibration is not None, "its temperature was fitted"
    without = cross_entropy(base.plain_calibration, base.calibration_labels, 1.0)
    return Candidacy("plain", np.arange(len(without)), without.numpy()), candidacy("T", base)


def _recommended(chosen: str, fallback: str, measured: dict[str, HeldOut], step: Auto) -> tuple[str | None, str]:
    """What the holdout half confirms: the chosen candidate, or else the temperature if that was the next choice."""
    if chosen == "plain":
        return None, (
            f"on the calibration half nothing beats the network as it came by more than {step.margin:g} standard errors"
        )
    first = f"{chosen}, the simplest within {step.margin:g} standard errors of the best on the calibration half"
    clean = measured[chosen].clean
    if clean is not None and clean.low < -step.guardrail:
        failed = (
            f"{first}, may cost more than {100 * step.guardrail:g} points of top-1 on the data as they are "
            f"(interval [{100 * clean.low:+.2f}, {100 * clean.high:+.2f}])"
        )
    elif measured[chosen].verdict == "improved":
        return chosen, f"{first}, improves on {'the network as it came' if chosen == 'T' else 'T'} on the holdout half"
    else:
        failed = f"{first}, is not shown to improve by the holdout half"
    if chosen != "T" and fallback == "T" and measured["T"].verdict == "improved":
        return "T", f"{failed}; the temperature alone is"
    return None, failed


def _alone(seed: int, step: Auto, name: str) -> Recipe:
    """The recipe that gives the recommended network, and its numbers, without the others."""
    steps = next((item.steps for item in step.candidates if item.name == name), ())
    if step.shifts:
        only = tuple(item for item in step.candidates if item.name == name)
        changed = {"candidates": only, "margin": 0.0, "max_passes": None, "max_minutes": None}
        return Recipe(seed=seed, steps=(step.model_copy(update=changed),))
    return Recipe(seed=seed, steps=(*steps, Temperature(), Measure(resamples=step.resamples, bins=step.bins)))


def _keep_(run: Run, kept: Run, step: Auto, plain: Tensor, tuned: Tensor | None) -> None:
    """Let ``run`` stand where ``kept`` stands, with the measurement of that on its own examples."""
    assert run.leaderboard is not None
    measured = replace(kept, findings=[*kept.findings])
    compare_(measured, Measure(resamples=step.resamples, bins=step.bins), plain, tuned if kept.changed else None)
    adopt_(run, measured)
    run.measurement, run.answers = measured.measurement, measured.answers
    run.verdict, run.reasons = measured.verdict, measured.reasons
    if not kept.changed:
        run.verdict = "improved" if run.leaderboard.recommended else "no evidence"
        run.reasons = (run.leaderboard.reason,)
