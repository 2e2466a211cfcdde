"""Leaderboards of the recipe auto on published networks, and whether what it recommends gives the same numbers alone.

    python -m tests.benchmarks.auto [--images 1000] [--networks resnet20 resnet56 efficientnet-lite0]
                                    [--cases 0 1 2] [--without-learning]

Cases: 0 the images of ../shared (or $AFTERNORM_SHARED) as they are, 1 with C-style Gaussian noise, 2 with C-style fog,
both of severity 3. --without-learning leaves the gradient methods out.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch

from calibrate import Outputs, Recipe, deliver
from calibrate.data import Corrupted
from calibrate.engine import carry_out
from calibrate.recipe import PRESETS
from calibrate.report import render_text
from calibrate.steps import Auto, Leaderboard, Learning
from tests.benchmarks.label_free import CASES, planned_on_few
from tests.builders.published import PUBLISHED


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument(
        "--networks", nargs="+", choices=PUBLISHED, default=["resnet20", "resnet56", "efficientnet-lite0"]
    )
    parser.add_argument("--cases", nargs="+", type=int, choices=range(len(CASES)), default=range(len(CASES)))
    parser.add_argument("--without-learning", action="store_true")
    arguments = parser.parse_args()
    shared = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[3] / "shared"))
    if not shared.is_dir():
        print(f"skipped: needs the shared models and data, and {shared} is not there")
        return
    torch.set_num_threads(1)
    recipe = PRESETS["auto"]
    if arguments.without_learning:
        (step,) = recipe.steps
        assert isinstance(step, Auto)
        gradient_free = tuple(
            candidate
            for candidate in step.candidates
            if not any(isinstance(item, Learning) for item in candidate.steps)
        )
        recipe = Recipe(steps=(Auto(candidates=gradient_free),))
    for name in arguments.networks:
        for case in [CASES[number] for number in arguments.cases]:
            model, source = PUBLISHED[name].open(shared)
            if case is not None:
                source = Corrupted(source, *case, seed=0)
            start = time.perf_counter()
            outcome = carry_out(model, planned_on_few(model, source, recipe, arguments.images), name, {})
            seconds = time.perf_counter() - start
            with tempfile.TemporaryDirectory() as folder:
                summary = deliver(outcome, model, Path(folder), Outputs(formats=("onnx",))).summary
            whole = render_text(summary)
            print(whole[: whole.index("Scores on")].rstrip())
            board = summary.last(Leaderboard)
            assert board is not None
            print(f"{seconds:.0f} s for the search")
            if board.recipe is not None:
                alone = carry_out(
                    model,
                    planned_on_few(model, source, Recipe.model_validate(board.recipe), arguments.images),
                    name,
                    {},
                ).summary
                print(
                    f"recommended recipe alone gives the same measurement: {alone.measurement == summary.measurement}"
                )
            print(flush=True)


if __name__ == "__main__":
    main()
