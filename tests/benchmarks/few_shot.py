"""What do the steps that learn make of few labels? On images that no step saw, T fitted where each recipe fits it.

    python -m tests.benchmarks.few_shot [--depth 20] [--images 1000] [--draws 2]

ResNet-20 (or --depth 56) of ../shared (or $AFTERNORM_SHARED) on JPEG validation images: each draw of --images is
tuned on, half for calibration; 1,000 others, the same for all, are answered.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from calibrate import Recipe, open_data, open_model, retrofit
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import PassForm, Setting
from calibrate.recipe import Step
from calibrate.result import silent
from calibrate.steps import LearnAlpha, SearchAlpha, Temperature, TuneAffine

SETTING = Setting(PassForm(250, 1), torch.device("cpu"), silent)
ANSWERED = 1000
SEARCH = SearchAlpha(curve=False)
#: Each keeps what did best on the examples held back, however little better, so that rows tell what was learned.
RECIPES: dict[str, tuple[Step, ...]] = {
    "T": (),
    "search_alpha": (SEARCH,),
    "search_alpha, learn_alpha per layer": (SEARCH, LearnAlpha(margin=0)),
    "search_alpha, learn_alpha per channel": (SEARCH, LearnAlpha(per="channel", margin=0)),
    "tune_affine": (TuneAffine(margin=0),),
    "search_alpha, tune_affine": (SEARCH, TuneAffine(margin=0)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=2)
    arguments = parser.parse_args()
    shared = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
    if not shared.is_dir():
        print(f"skipped: needs the shared models and data, and {shared} is not there")
        return
    torch.set_num_threads(1)
    opened = open_model(shared / f"models/cifar10-resnet{arguments.depth}.th", f"cifar/resnet{arguments.depth}")
    source = open_data(shared / "data/cifar10-val-5k.zip", preprocessing=opened.preprocessing)
    order = np.random.default_rng(7).permutation(len(source))
    answered, rest = np.sort(order[:ANSWERED]), order[ANSWERED:]
    labels = torch.from_numpy(source.labels.copy())
    examples = [
        (x, int(label))
        for batch in source.batches(np.arange(len(source)), 250)
        for x, label in zip(batch.inputs, source.labels[batch.indices], strict=True)
    ]
    for name, steps in RECIPES.items():
        told = []
        for draw in range(arguments.draws):
            chosen = rest[draw * arguments.images :][: arguments.images]
            recipe = Recipe(seed=draw, steps=(*steps, Temperature()))
            model = retrofit(opened.model, recipe, data=[examples[row] for row in chosen]).model
            logits = predict(model, source, answered, SETTING, "")
            right = float((logits.argmax(1) == labels[answered]).double().mean())
            told.append((100 * right, float(torch.nn.functional.cross_entropy(logits.double(), labels[answered]))))
        top1, nll = np.mean(told, 0)
        each = ", ".join(f"{one:.4f}" for _, one in told)
        print(f"{name:40} top-1 {top1:.2f} %, NLL after T {nll:.4f} ({each})", flush=True)


if __name__ == "__main__":
    main()
