"""How often does the recipe auto recommend anything where nothing can help? On the bundled digits network.

    python -m tests.benchmarks.auto_null [--trials 200] [--first 0] [--images 899] [--data scanned]

Every trial draws new labels of the same images from the network's own softmax, so that the original network is the
best there is in expectation, and any recommendation is false. Trials are numbered, and each has its own seed: two
processes can share them with --first. Printed at the end: the rate, its one-sided 95 % lower bound and its two-sided
interval (Clopper and Pearson).
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor

from calibrate import open_data, open_model
from calibrate.demo.digits import PREPROCESSING
from calibrate.demo.inputs import ARCHITECTURE, ARCHITECTURE_ARGS, write_inputs
from calibrate.engine import carry_out, plan
from calibrate.engine.passes.prediction import predict
from calibrate.engine.passes.setting import PassForm, Setting
from calibrate.recipe import PRESETS
from calibrate.result import silent
from calibrate.steps import Leaderboard


class Remembered:
    """Passes do not depend on labels, so that one trial's serve the next; kept in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def recall(self, key: str) -> Tensor | None:
        return self._kept.get(key)

    def keep(self, key: str, stage: str, logits: Tensor) -> None:
        self._kept[key] = logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--data", choices=("digits", "scanned"), default="scanned")
    parser.add_argument("--images", type=int, default=899)
    arguments = parser.parse_args()
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
            checked = plan(
                opened.model,
                chosen.model_copy(update={"seed": trial}),
                data=open_data(drawn, preprocessing=PREPROCESSING),
                preprocessing=PREPROCESSING,
                classes=None,
                batch_size=64,
                device="cpu",
                progress=silent,
                trials=trials,
            )
            board = carry_out(opened.model, checked, ARCHITECTURE, ARCHITECTURE_ARGS).summary.last(Leaderboard)
            assert board is not None, "the recipe has the step auto"
            if board.recommended is not None:
                recommended.append(board.recommended)
            seconds = time.perf_counter() - start
            print(f"trial {trial}: chose {board.chosen}, recommends {board.recommended} ({seconds:.0f} s)", flush=True)
    k, n = len(recommended), arguments.trials
    print(f"{k} of {n} recommended something: {', '.join(sorted(recommended)) or 'nothing'}")
    lower = beta.ppf(0.05, k, n - k + 1) if k else 0.0
    low, high = beta.ppf(0.025, k, n - k + 1) if k else 0.0, beta.ppf(0.975, k + 1, n - k) if k < n else 1.0
    print(f"rate {k / n:.3f}, one-sided 95 % lower bound {lower:.4f}, 95 % interval [{low:.4f}, {high:.4f}]")


if __name__ == "__main__":
    main()
