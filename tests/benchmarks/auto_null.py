"""How often does a recipe find a gain where there is none? Labels are redrawn from the network's own probabilities.

    python -m tests.benchmarks.auto_null auto [--trials 200] [--first 0] [--images 899] [--data scanned]
    python -m tests.benchmarks.auto_null statistics --out FOLDER [--rows resnet20 ...] [--trials 500] [--check 2]

Every trial draws new labels of the same images from the network's own softmax, so that the original network is the
best there is in expectation, and any gain is false. Trials are numbered, and each has its own seed.

``auto`` is the recipe of that name on the bundled digits network; two processes can share the trials with --first.
Printed at the end: the rate of recommendations, its one-sided 95 % lower bound and its two-sided interval (Clopper and
Pearson).

``statistics`` is the search for λ, the temperature and the verdict, on published networks with the images of ../shared
(or $AFTERNORM_SHARED): EfficientNet-lite0 on 250 + 250, ResNet-20 and -56 on 2,500 + 2,500. Logits depend on λ and not
on labels: each λ is estimated once, when a trial first asks for it. Its logits and the trials, 25 a file, are kept in
FOLDER, so that an interrupted run goes on where it was. Labels are drawn at the T fitted on all real ones, so that
accuracy and noise are those of the data; T alone, which the verdict compares with, is then the truth. So many trials
with λ ≠ 1 as --check says are also carried out by the steps themselves, and must come to the same to four decimals.
Printed for each row: shares of "improved", "worse" and λ ≠ 1 with their exact intervals, and what the label-free
criterion chooses there, with real labels for judge. Exit 1 where a one-sided lower bound of "improved" is 5 % or more.
"""

import argparse
import copy
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.stats import beta
from torch import Tensor

from calibrate import open_data, open_model
from calibrate.atomic import replacing
from calibrate.data import Source
from calibrate.demo.digits import PREPROCESSING
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, write_inputs
from calibrate.engine import HANDLERS, FolderTrials, carry_out, set_up_process
from calibrate.engine.handler import Given
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import PassForm, Setting
from calibrate.engine.run import NetworkState, Run
from calibrate.engine.steps.measure import compare_
from calibrate.engine.steps.search_statistics import _Mixing
from calibrate.recipe import PRESETS
from calibrate.result import silent
from calibrate.search import (
    STORED,
    InformationCriterion,
    LabelledCriterion,
    Mix,
    MixCriterion,
    fit_temperature,
    search_statistics,
)
from calibrate.steps import (
    Leaderboard,
    Measure,
    Measurement,
    SearchStatistics,
    StatisticsChoice,
    StatisticsSearch,
    Temperature,
)
from calibrate.surgery import share_weights
from calibrate.values import Value, Verdict
from tests.builders.published import PUBLISHED
from tests.builders.runs import planned

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
ROWS = ("resnet20", "resnet56", "efficientnet-lite0")
BATCH_SIZES = {"efficientnet-lite0": 8}
ALLOWED = 0.05
TRIALS_A_FILE = 25


def exact(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of Clopper and Pearson of the share that k of n estimate."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    return low, float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0


def share(k: int, n: int) -> str:
    """A share with its exact 95 % interval, in per cent."""
    low, high = exact(k, n)
    return f"{100 * k / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


class Remembered:
    """Passes do not depend on labels, so that one trial's serve the next; kept in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def recall(self, key: str) -> Tensor | None:
        return self._kept.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        self._kept[key] = logits


def count_recommendations(arguments: argparse.Namespace) -> bool:
    """The recipe auto on the bundled digits network."""
    torch.set_num_threads(1)
    chosen = PRESETS["auto"]
    with tempfile.TemporaryDirectory() as folder:
        inputs = write_inputs(Path(folder))
        path = inputs.digits if arguments.data == "digits" else inputs.scanned
        opened = open_model(inputs.checkpoint, ARCHITECTURE, ARCHITECTURE_ARGS)
        source = open_data(path, preprocessing=PREPROCESSING)
        images = np.load(path)["x"][: arguments.images]
        setting = Setting(PassForm(64, 1), torch.device("cpu"), silent)
        cumulative = predict(opened.model, source, np.arange(len(images)), setting, "").double().softmax(1).cumsum(1)
        trials, recommended = Remembered(), list[str]()
        for trial in range(arguments.first, arguments.first + arguments.trials):
            start = time.perf_counter()
            draws = torch.from_numpy(np.random.default_rng(trial).random((len(images), 1)))
            labels = (draws > cumulative).sum(1).clamp_max(9)
            drawn = Path(folder) / "drawn.npz"
            np.savez(drawn, x=images, y=labels.numpy())
            data = open_data(drawn, preprocessing=PREPROCESSING)
            recipe = chosen.model_copy(update={"seed": trial})
            checked = planned(opened.model, recipe, data, preprocessing=PREPROCESSING, batch_size=64, trials=trials)
            board = carry_out(opened.model, checked, ARCHITECTURE, ARCHITECTURE_ARGS).summary.last(Leaderboard)
            assert board is not None, "the recipe has the step auto"
            if board.recommended is not None:
                recommended.append(board.recommended)
            seconds = time.perf_counter() - start
            print(f"trial {trial}: chose {board.chosen}, recommends {board.recommended} ({seconds:.0f} s)", flush=True)
    k, n = len(recommended), arguments.trials
    print(f"{k} of {n} recommended something: {', '.join(sorted(recommended)) or 'nothing'}")
    low, high = exact(k, n)
    lower = exact(k, n, 0.9)[0]
    print(f"rate {k / n:.3f}, one-sided 95 % lower bound {lower:.4f}, 95 % interval [{low:.4f}, {high:.4f}]")
    return lower < ALLOWED


class Trial(Value):
    """What came of one trial: λ at the first and the last layer, and NLL and top-1 against T alone."""

    seed: int
    best: tuple[float, float]
    chosen: tuple[float, float]
    verdict: Verdict | None
    nll: float = 0.0
    top1: float = 0.0


TRIALS = TypeAdapter(list[Trial])


@dataclass(eq=False)
class Mixes:
    """Logits of a network at every λ that was asked for, each estimated once; they depend on no label."""

    given: Given
    step: SearchStatistics
    run: Run = field(init=False)
    mixing: _Mixing = field(init=False)
    calibration: dict[Mix, Tensor] = field(default_factory=dict)
    settled: dict[Mix, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        original = self.given.original
        self.run = Run(self.given, NetworkState(share_weights(original)))
        self.mixing = _Mixing.of(self.run, self.step)
        assert len(self.mixing.searched) == len(self.given.split.calibration), "the search is on all of them"
        stored = self.run.model_logits()
        self.calibration[STORED] = stored
        self.settled[STORED] = stored, self.run.on_holdout(original, "measure, original")

    def logits_of(self, mix: Mix) -> Tensor:
        """Of the calibration half, as the search gets them."""
        if mix not in self.calibration:
            start = time.perf_counter()
            self.calibration[mix] = self.mixing.logits_of(mix)
            self.mixing._made.clear()
            print(f"  λ = {mix} estimated ({time.perf_counter() - start:.0f} s)", flush=True)
        return self.calibration[mix]

    def halves_of(self, mix: Mix) -> tuple[Tensor, Tensor]:
        """Of both halves, by the network with that λ, as it is when the search is done."""
        if mix not in self.settled:
            trials, keys = self.given.trials, [f"settled-{mix.first:.12g}-{mix.last:.12g}-{half}" for half in (0, 1)]
            assert trials is not None, "passes are kept"
            kept = [trials.recall(key) for key in keys]
            if kept[0] is None or kept[1] is None:
                model, _ = self.mixing.settled(mix)
                self.mixing._made.clear()
                setting, split = self.given.setting, self.given.split
                halves = split.calibration, split.holdout
                kept = [predict(model, self.given.source, half, setting, "") for half in halves]
                for key, logits in zip(keys, kept, strict=True):
                    trials.keep(key, "settled", logits)
            self.settled[mix] = kept[0], kept[1]
        return self.settled[mix]

    def choose(self, criterion: MixCriterion, margin: float | None = None) -> StatisticsChoice:
        """What the search chooses by ``criterion``."""
        step = self.step if margin is None else self.step.model_copy(update={"margin": margin})
        examples, layers = len(self.mixing.searched), len(self.mixing.depth)
        return search_statistics(self.logits_of, criterion, step, examples=examples, layers=layers)


def relabelled(given: Given, labels: NDArray[np.int64], seed: int) -> Given:
    """The same with other labels; what is made from ``seed`` is another bootstrap."""
    source: Source = copy.copy(given.source)
    source.labels = labels
    return replace(given, source=source, seed=seed)


def try_once(mixes: Mixes, given: Given) -> Trial:
    """Search, fit T and judge with the labels of ``given``, by the logits that ``mixes`` keep."""
    run = Run(given, NetworkState(share_weights(given.original)), original_logits=mixes.calibration[STORED])
    criterion = LabelledCriterion(run.calibration_labels, given.seed)
    choice = mixes.choose(criterion)
    chosen = Mix(*choice.chosen)
    if chosen != STORED:
        calibration, _ = mixes.halves_of(chosen)
        again = criterion.gain(criterion.score(mixes.calibration[STORED]), criterion.score(calibration))
        if not again.beats(mixes.step.margin):
            chosen = STORED
    return judged(mixes, run, choice.best, chosen)


def judged(mixes: Mixes, run: Run, best: tuple[float, float], chosen: Mix) -> Trial:
    """The verdict on ``chosen``, with the labels of ``run``."""
    if chosen == STORED:
        return Trial(seed=run.given.seed, best=best, chosen=chosen, verdict=None)
    calibration, holdout = mixes.halves_of(chosen)
    run.change_()
    run.state.logits = calibration
    compare_(run, Measure(), mixes.settled[STORED][1], holdout)
    return trial_of(run, best, chosen)


def trial_of(run: Run, best: tuple[float, float], chosen: tuple[float, float]) -> Trial:
    """The trial that the measurement of a run tells of."""
    measurement = run.notes.outcomes[-1]
    assert isinstance(measurement, Measurement), "the last step measures"
    difference = measurement.verdict_difference
    assert difference is not None, "the network is changed"
    nll, top1 = (difference.metrics[name].value for name in ("nll", "top1"))
    return Trial(seed=run.given.seed, best=best, chosen=chosen, verdict=run.notes.verdict, nll=nll, top1=top1)


def carried_out(given: Given, step: SearchStatistics) -> Trial:
    """The same trial by the steps themselves, which make every pass."""
    run = Run(replace(given, trials=None), NetworkState(share_weights(given.original)))
    HANDLERS[SearchStatistics].run(run, step)
    (found,) = run.notes.outcomes
    assert isinstance(found, StatisticsSearch), "the only step so far"
    HANDLERS[Temperature].run(run, Temperature())
    HANDLERS[Measure].run(run, Measure())
    if found.chosen == STORED:
        return Trial(seed=given.seed, best=found.best, chosen=found.chosen, verdict=None)
    return trial_of(run, found.best, found.chosen)


def same(one: Trial, other: Trial) -> bool:
    """Whether two trials are one, but for rounding."""
    alike = (one.chosen, one.best, one.verdict) == (other.chosen, other.best, other.verdict)
    return alike and isclose(one.nll, other.nll, abs_tol=1e-4) and isclose(one.top1, other.top1, abs_tol=1e-4)


def open_mixes(row: str, out: Path) -> Mixes:
    """A row's network and images, and the passes that ``out`` keeps."""
    model, source = PUBLISHED[row].open(SHARED)
    trials = FolderTrials(out / "passes", f"{row} on one thread")
    checked = planned(model, PRESETS["statistics"], source, batch_size=BATCH_SIZES.get(row), trials=trials)
    return Mixes(checked.given, SearchStatistics())


def trials_of(row: str, mixes: Mixes, out: Path, count: int, check: int) -> Iterator[Trial]:
    """All trials of a row, those that ``out`` keeps and new ones."""
    given = mixes.given
    logits = torch.empty(len(given.source), mixes.calibration[STORED].shape[1])
    for half, part in zip((given.split.calibration, given.split.holdout), mixes.settled[STORED], strict=True):
        logits[torch.from_numpy(half)] = part
    real = torch.from_numpy(given.source.labels.copy()) if given.source.labels is not None else torch.empty(0)
    temperature = fit_temperature(logits, real).value
    print(f"{row}: labels are drawn at T = {temperature:.3f}", flush=True)
    cumulative = (logits.double() / temperature).softmax(1).cumsum(1)
    for first in range(0, count, TRIALS_A_FILE):
        path = out / f"{row}.{first}.json"
        if path.exists():
            yield from TRIALS.validate_json(path.read_bytes())
            continue
        start, trials = time.perf_counter(), list[Trial]()
        for seed in range(first, first + TRIALS_A_FILE):
            draws = torch.from_numpy(np.random.default_rng(seed).random((len(logits), 1)))
            labels = (draws > cumulative).sum(1).clamp_max(logits.shape[1] - 1).numpy()
            own = relabelled(given, labels, seed)
            trials.append(try_once(mixes, own))
            if check and trials[-1].chosen != STORED:
                check -= 1
                other = carried_out(own, mixes.step)
                assert same(trials[-1], other), f"by its steps it came to {other}, by what was kept to {trials[-1]}"
                print(f"  trial {seed}: the steps themselves come to the same", flush=True)
        with replacing(path) as file:
            file.write(TRIALS.dump_json(trials, indent=1) + b"\n")
        changed = [f"λ {Mix(*item.chosen)} {item.verdict} {item.nll:+.4f}" for item in trials if item.chosen != STORED]
        seconds = time.perf_counter() - start
        print(
            f"{row}, trials {first} to {trials[-1].seed}: {'; '.join(changed) or 'all 1'} ({seconds:.0f} s)", flush=True
        )
        yield from trials


def is_null(row: str, trials: Sequence[Trial]) -> bool:
    """Print the shares; whether no more is improved than a verdict of 5 % may."""
    n = len(trials)
    improved, worse = (sum(trial.verdict == verdict for trial in trials) for verdict in ("improved", "worse"))
    changed = [trial for trial in trials if trial.chosen != STORED]
    lower = exact(improved, n, 0.9)[0]
    print(f"{row}, {n} trials: improved {share(improved, n)}, one-sided 95 % lower bound {100 * lower:.2f} %;")
    print(f"  worse {share(worse, n)}; λ ≠ 1 chosen {share(len(changed), n)};")
    lowest = sum(trial.best != STORED for trial in trials)
    print(f"  λ ≠ 1 had the lowest NLL {share(lowest, n)}; mean change of NLL {np.mean([t.nll for t in trials]):+.5f},")
    if changed:
        nll, top1 = (np.mean([getattr(trial, metric) for trial in changed]) for metric in ("nll", "top1"))
        print(f"  where λ ≠ 1 {nll:+.5f} nats and {100 * top1:+.3f} points")
    return lower < ALLOWED


def report_label_free(row: str, mixes: Mixes) -> None:
    """What labels and mutual information choose with the real labels, and what they come to on the holdout half."""
    given = mixes.given
    run = Run(given, NetworkState(share_weights(given.original)), original_logits=mixes.calibration[STORED])
    labels = run.calibration_labels
    criteria: dict[str, tuple[MixCriterion, float]] = {
        "labels": (LabelledCriterion(labels, given.seed), 1.0),
        "mutual information": (InformationCriterion(mixes.calibration[STORED], given.seed), 1.0),
        "mutual information, margin 0": (InformationCriterion(mixes.calibration[STORED], given.seed), 0.0),
    }
    for name, (criterion, margin) in criteria.items():
        choice = mixes.choose(criterion, margin)
        fresh = Run(given, NetworkState(share_weights(given.original)), original_logits=run.original_logits)
        trial = judged(mixes, fresh, choice.best, Mix(*choice.chosen))
        print(
            f"{row}, real labels, by {name}: λ = {Mix(*choice.chosen)}, best {Mix(*choice.best)}, "
            f"{trial.verdict or 'nothing changed'}, NLL {trial.nll:+.4f}, top-1 {100 * trial.top1:+.2f}",
            flush=True,
        )


def count_gains(arguments: argparse.Namespace) -> bool:
    """The search for λ on published networks."""
    if not SHARED.is_dir():
        print(f"skipped: needs the shared models and data, and {SHARED} is not there")
        return True
    arguments.out.mkdir(parents=True, exist_ok=True)
    set_up_process(1)
    holds = True
    for row in arguments.rows:
        mixes = open_mixes(row, arguments.out)
        report_label_free(row, mixes)
        holds &= is_null(row, list(trials_of(row, mixes, arguments.out, arguments.trials, arguments.check)))
    return holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recipes = parser.add_subparsers(required=True, dest="recipe")
    auto = recipes.add_parser("auto")
    auto.add_argument("--trials", type=int, default=200)
    auto.add_argument("--first", type=int, default=0)
    auto.add_argument("--data", choices=("digits", "scanned"), default="scanned")
    auto.add_argument("--images", type=int, default=899)
    statistics = recipes.add_parser("statistics")
    statistics.add_argument("--out", type=Path, required=True)
    statistics.add_argument("--rows", nargs="+", default=ROWS, choices=ROWS)
    statistics.add_argument("--trials", type=int, default=500)
    statistics.add_argument("--check", type=int, default=2)
    arguments = parser.parse_args()
    holds = count_recommendations(arguments) if arguments.recipe == "auto" else count_gains(arguments)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
