"""How good α's are that are chosen without labels: their regret on the holdout half against the α that labels choose.

    python -m tests.benchmarks.label_free [--images 1000] [--networks resnet20 resnet56 efficientnet-lite0]
                                          [--cases 0 1 2]

Cases: 0 the images as they are, 1 with C-style Gaussian noise, 2 with C-style fog, both of severity 3.

On one half of so many images of ../shared (or $AFTERNORM_SHARED) `search_alpha` chooses α with labels, and each
criterion of `label_free_alpha` without; on the other half the network answers at each of these. Regret is its
cross-entropy after a temperature (fitted with labels on the first half), or its errors in points of top-1, minus that
at the labels' α; in brackets the 95 % interval (paired bootstrap over the images). `none` is the original network.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from calibrate import Recipe
from calibrate.data import Corrupted, Source, Split
from calibrate.engine.execution import Plan, carry_out
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import Setting
from calibrate.metrics import interval, mean_samples, score
from calibrate.result import Summary
from calibrate.search import fit_temperature
from calibrate.steps import AlphaSearch, Corruption, LabelFreeAlpha, LabelFreeSearch, SearchAlpha
from tests.builders.published import PUBLISHED
from tests.builders.runs import planned

CASES: tuple[tuple[Corruption, int] | None, ...] = (None, ("gaussian_noise", 3), ("fog", 3))
HANDLERS = {
    "labels": SearchAlpha(curve=False),
    "entropy": LabelFreeAlpha(criterion="entropy", samples=None),
    "agreement": LabelFreeAlpha(criterion="agreement", samples=None),
    "estimation shift": LabelFreeAlpha(criterion="estimation_shift", samples=None),
}


class Passes(dict[str, Tensor]):
    """The passes that the searches of one case share, by their keys."""

    def recall(self, key: str) -> Tensor | None:
        return self.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        self[key] = logits


def planned_on_few(model: nn.Module, source: Source, recipe: Recipe, images: int) -> Plan:
    """The recipe's plan, on as many images as were asked for, or all there are."""
    made = planned(model, recipe, source, batch_size=50)
    random, halves = np.random.default_rng(0), made.given.split
    calibration, holdout = (
        np.sort(random.permutation(half)[: images // 2]) for half in (halves.calibration, halves.holdout)
    )
    few = replace(halves, calibration=calibration, holdout=holdout)
    return replace(made, given=replace(made.given, split=few))


def chosen(summary: Summary) -> float:
    """The α that the one step of the recipe chose."""
    return summary.last(AlphaSearch).chosen if summary.last(AlphaSearch) else summary.of(LabelFreeSearch)[0].chosen


def scored(model: nn.Module, source: Source, split: Split, setting: Setting) -> np.ndarray:
    """Cross-entropy after the temperature, and whether the answer is wrong, of each image held out: (n, 2)."""
    logits, labels = [], []
    for half in (split.calibration, split.holdout):
        logits.append(predict(model, source, half, setting, ""))
        labels.append(torch.from_numpy(source.labels[half]))
    scores = score(logits[1], labels[1], fit_temperature(logits[0], labels[0]).value)
    return np.column_stack([scores.nll, 100 * (1 - scores.top1)])


def regrets(name: str, case: tuple[Corruption, int] | None, shared: Path, images: int) -> Iterable[str]:
    """The rows of one network on one kind of images."""
    model, source = PUBLISHED[name].open(shared)
    if case is not None:
        source = Corrupted(source, *case, seed=0)
    passes = Passes()
    scores, alphas = {}, {}
    for label, step in HANDLERS.items():
        made = planned_on_few(model, source, Recipe(steps=[step]), images)
        outcome = carry_out(model, made, name, {}, passes)
        alphas[label] = chosen(outcome.summary)
        scores[label] = scored(outcome.model, source, made.given.split, made.given.setting)
    alphas["none"], scores["none"] = 0.0, scored(model, source, made.given.split, made.given.setting)
    what = "as they are" if case is None else f"{case[0]} {case[1]}"
    for label, found in scores.items():
        regret = found - scores["labels"]
        samples = mean_samples(regret, resamples=2000, seed=0)
        cells = [
            f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
            for value, (low, high), digits in zip(regret.mean(0), map(interval, samples.T), (4, 1), strict=True)
        ]
        nll, wrong = found.mean(0)
        cells = [name, what, label, f"{alphas[label]:.4f}", f"{nll:.4f}", f"{100 - wrong:.1f}", *cells]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--networks", nargs="+", choices=PUBLISHED, default=["resnet20", "resnet56"])
    parser.add_argument("--cases", nargs="+", type=int, choices=range(len(CASES)), default=range(len(CASES)))
    given = parser.parse_args()
    torch.set_num_threads(1)
    shared = Path(os.environ.get("AFTERNORM_SHARED", "../shared"))
    if not shared.is_dir():
        print(f"{shared} is not there: nothing to measure")
        return
    print("| network | images | chosen by | α | NLL after T | top-1 | regret in NLL | regret in top-1 |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.networks:
        for case in given.cases:
            for row in regrets(name, CASES[case], shared, given.images):
                print(row, flush=True)


if __name__ == "__main__":
    main()
