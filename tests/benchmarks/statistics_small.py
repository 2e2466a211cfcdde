"""How often do statistics of few images, mixed in by ``search_statistics``, do harm? ResNet-20 on JPEG CIFAR-10 images.

    python -m tests.benchmarks.statistics_small --out FOLDER [--images 16 64 256 1000] [--draws 200] [--minutes 55]

Each draw takes --images labelled images at random from one half of ../shared's 5,000 (or $AFTERNORM_SHARED), searches λ
on them, fits T on them, and is judged on the other half, the same for all, by the steps search_statistics, temperature
and measure. Every finished draw is a JSON file in FOLDER, so that an interrupted run goes on where it was; n = 1000
comes last, with as many draws as --minutes allow.

Beside the step's margin of one standard error each draw is judged with those of 1.5, 2 and 3, and with a check that
costs more: four folds, the statistics and T of the other three, and the gain over λ = 1 on the fourth, which must
exceed so many standard errors too. Printed: shares of draws with their exact 95 % intervals (Clopper and Pearson), and
the mean change of the holdout NLL. Exit 1 where, at the margin of the step, a lower bound of "worse" exceeds 5 %.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibrate.atomic import replacing
from calibrate.data import Split
from calibrate.engine import HANDLERS, set_up_process
from calibrate.engine.handler import Given
from calibrate.engine.passes.prediction import predict
from calibrate.engine.run import NetworkState, Run
from calibrate.engine.steps.search_statistics import _Mixing
from calibrate.recipe import PRESETS
from calibrate.search import Mix, fit_temperature
from calibrate.search.gain import Gain
from calibrate.search.temperature import cross_entropy
from calibrate.steps import Measure, Measurement, SearchStatistics, StatisticsSearch, Temperature
from calibrate.surgery import share_weights
from calibrate.values import Value, Verdict
from tests.benchmarks.auto_null import exact, share
from tests.builders.published import PUBLISHED
from tests.builders.runs import planned

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
MARGINS = (1.0, 1.5, 2.0, 3.0)
FOLDS, FOLD_MARGINS = 4, (0.0, 1.0, 2.0)
ALLOWED = 0.05


class Judged(Value):
    """What came of a draw at one margin: λ at the first and the last layer, and NLL and top-1 against λ = 1."""

    chosen: tuple[float, float]
    verdict: Verdict | None
    nll: float
    top1: float


class Draw(Value):
    """One draw of ``n`` images: by margin, and the gain of the first margin's choice over four folds."""

    n: int
    seed: int
    judged: dict[str, Judged]
    best: tuple[float, float]
    fold_gain: float | None
    fold_error: float | None
    seconds: float


class Remembered:
    """Passes of one draw, that serve the next margin, and those over the holdout half by the original network."""

    def __init__(self, kept: Mapping[str, Tensor]) -> None:
        self.kept = dict(kept)

    def recall(self, key: str) -> Tensor | None:
        return self.kept.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        self.kept[key] = logits


def drawn_given(given: Given, n: int, seed: int, kept: Mapping[str, Tensor]) -> Given:
    """What a run is given whose calibration half are n examples drawn from that of ``given``."""
    pool = given.split.calibration
    chosen = np.sort(np.random.default_rng([n, seed]).choice(pool, n, replace=False))
    split = Split(chosen, given.split.holdout, stratified=False, findings=())
    return replace(given, split=split, seed=seed, trials=Remembered(kept))


def judge_draw(given: Given, n: int, seed: int, kept: Mapping[str, Tensor]) -> Draw:
    """Carry the steps out at each margin."""
    start = time.perf_counter()
    own = drawn_given(given, n, seed, kept)
    judged: dict[str, Judged] = {}
    by_mix: dict[tuple[float, float], Judged] = {(1.0, 1.0): Judged(chosen=(1, 1), verdict=None, nll=0, top1=0)}
    best = (1.0, 1.0)
    for margin in MARGINS:
        run, step = Run(own, NetworkState(share_weights(own.original))), SearchStatistics(margin=margin)
        HANDLERS[SearchStatistics].run(run, step)
        (found,) = run.notes.outcomes
        assert isinstance(found, StatisticsSearch), "the only step so far"
        best = found.best
        if found.chosen not in by_mix:
            by_mix[found.chosen] = measured(run, found.chosen)
        judged[f"{margin:g}"] = by_mix[found.chosen]
    first = judged[f"{MARGINS[0]:g}"].chosen
    gain = None if first == (1.0, 1.0) else fold_gain(own, Mix(*first))
    return Draw(
        n=n,
        seed=seed,
        judged=judged,
        best=best,
        fold_gain=gain and gain.mean,
        fold_error=gain and gain.standard_error,
        seconds=round(time.perf_counter() - start, 2),
    )


def measured(run: Run, chosen: tuple[float, float]) -> Judged:
    """The rest of the recipe, after the search."""
    HANDLERS[Temperature].run(run, Temperature())
    HANDLERS[Measure].run(run, Measure())
    measurement = run.notes.outcomes[-1]
    assert isinstance(measurement, Measurement), "the last step measures"
    difference = measurement.verdict_difference
    assert difference is not None, "the network is changed"
    nll, top1 = (difference.metrics[name].value for name in ("nll", "top1"))
    return Judged(chosen=chosen, verdict=run.notes.verdict, nll=nll, top1=top1)


def fold_gain(given: Given, mix: Mix) -> Gain:
    """The gain over λ = 1, each example judged with statistics and T of the examples of the other folds."""
    half = given.split.calibration
    folds = np.random.default_rng(given.seed).permutation(len(half)) % FOLDS
    stored = Run(given, NetworkState(given.original)).model_logits()
    gains = [held_out_gain(given, mix, stored, folds == fold) for fold in range(FOLDS)]
    each = torch.cat(gains)
    return Gain(float(each.mean()), float(each.std() / len(each) ** 0.5))


def held_out_gain(given: Given, mix: Mix, stored: Tensor, out: NDArray[np.bool_]) -> Tensor:
    """How much lower each cross-entropy of the examples ``out`` is at the mix, set up on the others."""
    half, rest = given.split.calibration, torch.from_numpy(~out)
    others = replace(given, split=replace(given.split, calibration=half[~out]), trials=None)
    run = Run(others, NetworkState(share_weights(given.original)))
    mixing = _Mixing.of(run, SearchStatistics())
    labels, unseen = run.calibration_labels, run.labels_of(half[out])
    temperature = fit_temperature(mixing.logits_of(mix), labels).value
    model, _ = mixing.settled(mix)
    mixed = predict(model, given.source, half[out], given.setting, "")
    before = cross_entropy(stored[~rest], unseen, fit_temperature(stored[rest], labels).value)
    return before - cross_entropy(mixed, unseen, temperature)


def in_words(name: str, results: Sequence[Judged]) -> str:
    """What a rule came to over draws."""
    n = len(results)
    worse, improved = (sum(item.verdict == verdict for item in results) for verdict in ("worse", "improved"))
    changed = sum(item.chosen != (1.0, 1.0) for item in results)
    nll, top1 = (np.array([getattr(item, key) for item in results]) for key in ("nll", "top1"))
    error = nll.std(ddof=1) / n**0.5 if n > 1 else 0.0
    return (
        f"| {name} | {share(worse, n)} | {share(improved, n)} | {share(changed, n)} | "
        f"{nll.mean():+.4f} ± {error:.4f} | {nll.max():+.4f} | {100 * top1.mean():+.2f} |"
    )


def gated(draw: Draw, margin: float) -> Judged:
    """The first margin's choice, where its gain over the folds exceeds so many standard errors; else λ = 1."""
    first = draw.judged[f"{MARGINS[0]:g}"]
    if draw.fold_gain is None or draw.fold_error is None or Gain(draw.fold_gain, draw.fold_error).beats(margin):
        return first
    return Judged(chosen=(1, 1), verdict=None, nll=0, top1=0)


def report(draws: Sequence[Draw]) -> bool:
    """Print what each rule came to at each n; whether the step's own holds."""
    holds = True
    for n in sorted({draw.n for draw in draws}):
        own = [draw for draw in draws if draw.n == n]
        seconds = np.mean([draw.seconds for draw in own])
        print(f"\nn = {n}, {len(own)} draws, {seconds:.1f} s each")
        print("| margin | worse | improved | λ ≠ 1 | mean change of NLL ± its error | largest | top-1 points |")
        print("|---|---|---|---|---|---|---|")
        for margin in MARGINS:
            results = [draw.judged[f"{margin:g}"] for draw in own]
            print(in_words(f"{margin:g}", results))
            if margin == SearchStatistics().margin:
                holds &= exact(sum(item.verdict == "worse" for item in results), len(results))[0] <= ALLOWED
        for margin in FOLD_MARGINS:
            print(in_words(f"1, and {margin:g} over {FOLDS} folds", [gated(draw, margin) for draw in own]))
    return holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--images", type=int, nargs="+", default=[16, 64, 256, 1000])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=55.0)
    given = parser.parse_args()
    if not SHARED.is_dir():
        print(f"skipped: needs the shared models and data, and {SHARED} is not there")
        return
    end = time.monotonic() + 60 * given.minutes
    given.out.mkdir(parents=True, exist_ok=True)
    set_up_process(1)
    model, source = PUBLISHED["resnet20"].open(SHARED)
    remembered = Remembered({})
    opened = planned(model, PRESETS["statistics"], source, trials=remembered).given
    Run(opened, NetworkState(opened.original)).on_holdout(opened.original, "measure, original")
    for n in given.images:
        for seed in range(given.draws):
            path = given.out / f"resnet20-{n}-{seed}.json"
            if path.exists():
                continue
            if time.monotonic() > end:
                break
            draw = judge_draw(opened, n, seed, remembered.kept)
            with replacing(path) as file:
                file.write(f"{draw.model_dump_json()}\n".encode())
            first = draw.judged[f"{MARGINS[0]:g}"]
            told = f"λ = {Mix(*first.chosen)}, {first.verdict or 'nothing changed'}, {first.nll:+.4f}"
            print(f"n = {n}, draw {seed}: {told} ({draw.seconds:.1f} s)", flush=True)
    paths = sorted(given.out.glob("resnet20-*.json"))
    draws = [Draw.model_validate_json(path.read_text(encoding="utf-8")) for path in paths]
    sys.exit(0 if report([draw for draw in draws if draw.n in given.images]) else 1)


if __name__ == "__main__":
    main()
