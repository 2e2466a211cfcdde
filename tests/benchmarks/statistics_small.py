"""How often do statistics of few images, mixed in by ``search_statistics``, do harm? ResNet-20 on JPEG CIFAR-10 images.

    python -m tests.benchmarks.statistics_small --out FOLDER [--images 16 64 256 1000] [--draws 200] [--minutes 55]

Each draw takes --images labelled images at random from one half of ../shared's 5,000 (or $AFTERNORM_SHARED), searches λ
on them, fits T on them, and is judged on the other half, the same for all, by the steps search_statistics, temperature
and measure. Every finished draw is a JSON file in FOLDER, so that an interrupted run goes on where it was; n = 1000
comes last, with as many draws as --minutes allow.

Printed: shares of draws with their exact 95 % intervals (Clopper and Pearson), and the mean change of the holdout NLL.
Exit 1 where a lower bound of "worse" exceeds 5 %.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from calibrate.atomic import replacing
from calibrate.data import Split
from calibrate.engine import HANDLERS, set_up_process
from calibrate.engine.handler import Given
from calibrate.engine.run import NetworkState, Run
from calibrate.recipe import PRESETS
from calibrate.search import STORED, Mix
from calibrate.steps import Measure, Measurement, SearchStatistics, StatisticsSearch, Temperature
from calibrate.surgery import share_weights
from calibrate.values import Value, Verdict
from tests.benchmarks.auto_null import exact, share
from tests.builders.published import PUBLISHED
from tests.builders.runs import planned

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
ALLOWED = 0.05


class Draw(Value):
    """One draw of ``n`` images: λ at the first and the last layer, and NLL and top-1 against λ = 1."""

    n: int
    seed: int
    chosen: tuple[float, float]
    verdict: Verdict | None = None
    nll: float = 0.0
    top1: float = 0.0
    seconds: float


class Remembered:
    """The passes of a draw, and those over the holdout half by the original network."""

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
    """Search λ on the draw; where it is not 1, fit T and measure."""
    start = time.perf_counter()
    run = Run(drawn_given(given, n, seed, kept), NetworkState(share_weights(given.original)))
    HANDLERS[SearchStatistics].run(run, SearchStatistics())
    (found,) = run.notes.outcomes
    assert isinstance(found, StatisticsSearch), "the only step so far"
    drawn = Draw(n=n, seed=seed, chosen=found.chosen, seconds=0)
    if found.chosen != STORED:
        HANDLERS[Temperature].run(run, Temperature())
        HANDLERS[Measure].run(run, Measure())
        measurement = run.notes.outcomes[-1]
        assert isinstance(measurement, Measurement), "the last step measures"
        difference = measurement.verdict_difference
        assert difference is not None, "the network is changed"
        nll, top1 = (difference.metrics[name].value for name in ("nll", "top1"))
        drawn = drawn.model_copy(update={"verdict": run.notes.verdict, "nll": nll, "top1": top1})
    return drawn.model_copy(update={"seconds": round(time.perf_counter() - start, 2)})


def report(draws: Sequence[Draw]) -> bool:
    """Print what the draws came to at each n; whether no more of them do harm than may."""
    holds = True
    print("| n | draws | worse | improved | λ ≠ 1 | mean change of NLL ± its error | largest | top-1 points | s each |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n in sorted({draw.n for draw in draws}):
        own = [draw for draw in draws if draw.n == n]
        worse, improved = (sum(draw.verdict == verdict for draw in own) for verdict in ("worse", "improved"))
        nll = np.array([draw.nll for draw in own])
        error = nll.std(ddof=1) / len(own) ** 0.5 if len(own) > 1 else 0.0
        print(
            f"| {n} | {len(own)} | {share(worse, len(own))} | {share(improved, len(own))} | "
            f"{share(sum(draw.chosen != STORED for draw in own), len(own))} | {nll.mean():+.4f} ± {error:.4f} | "
            f"{nll.max():+.4f} | {100 * np.mean([draw.top1 for draw in own]):+.2f} | "
            f"{np.mean([draw.seconds for draw in own]):.1f} |"
        )
        holds &= exact(worse, len(own))[0] <= ALLOWED
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
            told = f"λ = {Mix(*draw.chosen)}, {draw.verdict or 'nothing changed'}, {draw.nll:+.4f}"
            print(f"n = {n}, draw {seed}: {told} ({draw.seconds:.1f} s)", flush=True)
    paths = sorted(given.out.glob("resnet20-*.json"))
    draws = [Draw.model_validate_json(path.read_text(encoding="utf-8")) for path in paths]
    sys.exit(0 if report([draw for draw in draws if draw.n in given.images]) else 1)


if __name__ == "__main__":
    main()
