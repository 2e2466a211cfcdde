"""Fine-tuning to few data, in four ways from five seeds: vanilla, L2-SP, StochNorm, and both.

    python -m tests.benchmarks.finetuning [--out out/finetuning] [--epochs 5] [--seeds 5]

ResNet-20 of ../shared (or $AFTERNORM_SHARED), which knows the ten classes of CIFAR-10, learns five of them with a fresh
head from 15 % of their training images, and is scored on all of their validation images. What is finished in --out is
kept, so that it goes on after an interruption. About 11 minutes of processor
time; 35 minutes on two cores that six other processes shared.
"""

import argparse
import os
from pathlib import Path

import torch

from calibrate import open_data, open_model
from calibrate.engine import compare_arms, plan_arms, plan_fine_tuning, run_cell, write_compared_arms
from calibrate.recipe import Comparison
from calibrate.report import compared_arms_page
from calibrate.result import silent

CLASSES = ("bird", "cat", "deer", "dog", "frog")
STOCH_NORM = {"kind": "place", "layer": "StochNorm", "settings": {"p": 0.5}}
L2_SP = {"penalties": [{"kind": "l2_sp"}], "groups": {"weight_decay": 0}}


def comparison(epochs: int, seeds: int) -> Comparison:
    return Comparison.model_validate(
        {
            "base": {
                "classes": CLASSES,
                "fraction": 0.15,
                "phases": [{"epochs": epochs, "lr": 0.01}],
                "augmentation": "flip_crop",
            },
            "arms": {
                "vanilla": {},
                "l2_sp": L2_SP,
                "stoch_norm": {"layers": [STOCH_NORM]},
                "stoch_norm+l2_sp": {"layers": [STOCH_NORM], **L2_SP},
            },
            "baseline": "vanilla",
            "seeds": seeds,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/finetuning"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    shared = Path(os.environ.get("AFTERNORM_SHARED", "../shared"))
    if not shared.is_dir():
        print(f"{shared} is not there: nothing to fine-tune")
        return
    opened = open_model(shared / "models/cifar10-resnet20.th", "cifar/resnet20")
    data, test_data = (
        open_data(shared / "data" / name, preprocessing=opened.preprocessing)
        for name in ("cifar10-train-10k.zip", "cifar10-val-5k.zip")
    )
    asked = comparison(given.epochs, given.seeds)
    cells = plan_arms(
        asked,
        lambda recipe: plan_fine_tuning(
            opened.model,
            recipe,
            data=data,
            test_data=test_data,
            preprocessing=None,
            batch_size=64,
            device="cpu",
            progress=silent,
        ),
        given.out,
    )
    for place, cell in enumerate(cells):
        if cell.result is None:
            cells[place] = run_cell(cell, opened.model, opened.architecture, opened.architecture_args)
            print(f"{cell.name}: finished", flush=True)
    result = compare_arms(asked, cells)
    write_compared_arms(result, given.out)
    print(compared_arms_page(result).markdown())


if __name__ == "__main__":
    main()
