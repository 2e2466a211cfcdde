"""Does the estimation shift of BN add up with depth, and does GroupNorm block it? The paper's MLP, at a small scale.

    python -m tests.benchmarks.estimation_shift_mlp [--out DIR] [--quick] [--seeds 5] [--initial fan-in]

Huang et al., Delving into the Estimation Shift of Batch Normalization, §4.2 and Figures 2 to 5, and the noise of Figure
8. The paper trains on the 10,000 test images of MNIST; this is the small-scale version, on scikit-learn's 1,797 digits
of 8 x 8 pixels: 20 layers of 128 units, full-batch gradient descent, rate 0.1, 80 iterations, running statistics with
momentum 0.1 (the 0.9 of the paper's caption is the share that stays). S = S' compares the two modes at the same weights
and images; subsets are tested on all of S', which contains them, as in the paper, and on the rest. "half BN", GNBN
without its GroupNorms, is a control: it tells what comes of GroupNorm from what comes of having fewer BNs. The network
without any is also trained at the rate 0.02, because it hardly learns at 0.1. Noise meets the networks of the largest
subset. The paper does not give its initial weights, and verdicts depend on them: normal with variance 2/fan-in, or with
--initial torch those of PyTorch, from which the network without normalisation learns nothing.

A claim shows where the 95 % interval of its mean over the seeds lies on its side of the bound, and does not show where
it contains the bound. --quick has 64 digits, 2 seeds and 2 subsets: enough to see that all runs, not to judge.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.estimation_shift import claims, figures
from tests.benchmarks.estimation_shift.experiments import (
    NOISE,
    NOISY,
    RATE,
    Course,
    Subsets,
    digits,
    noise,
    same_set,
    subsets,
)
from tests.benchmarks.estimation_shift.measures import Values
from tests.benchmarks.estimation_shift.networks import network

SIZES = (32, 128, 256, 512, 1024)
ARMS = {
    "BN": ("BN", RATE),
    "GNBN": ("GNBN", RATE),
    "half BN": ("half BN", RATE),
    "original": ("original", RATE),
    "plain, rate 0.02": ("original", 0.02),
}


def table(title: str, columns: Sequence[object], rows: Mapping[str, Values]) -> None:
    """Print mean ± standard deviation over the seeds of each row (seeds, columns)."""
    print(f"\n{title:34}" + "".join(f"{column!s:>16}" for column in columns))
    for name, values in rows.items():
        cells = zip(values.mean(0), values.std(0, ddof=1), strict=True)
        print(f"  {name:32}" + "".join(f"{mean:9.2f} ± {spread:<4.2f}" for mean, spread in cells))


def tables(
    courses: Mapping[str, Course], found: Mapping[str, Subsets], sizes: Sequence[int], errors: Mapping[str, Values]
) -> None:
    """Print what was measured."""
    gaps = {kind: (course.evaluation - course.training, claims.gap_ends(course)) for kind, course in courses.items()}
    ends = {kind: np.stack([gap.mean(1), gap.max(1), end], 1) for kind, (gap, end) in gaps.items()}
    table("S = S': eval - train error, points", ("mean", "largest", "last over 1 at"), ends)
    table("training error at the end, %; N =", sizes, {kind: one.training for kind, one in found.items()})
    table("error on S', %; N =", sizes, {kind: one.test for kind, one in found.items()})
    table("error on the rest of S', %; N =", sizes, {kind: one.unseen for kind, one in found.items()})
    shift = {"the input": found["BN"].shift[..., 0]}
    for kind in courses:
        shift |= {f"{kind}, layer {depth}": found[kind].shift[..., depth] for depth in (2, 6, 10, 14, 20)}
        shift[f"{kind}, largest at layer"] = np.nanargmax(found[kind].shift, -1)
    table("ESM_sigma at the end; N =", sizes, shift)
    table("error on S' under noise, %; Δ =", NOISE, errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder of the figures (default: a new temporary one)")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=None, help="at least 2 (default: 5, or 2 with --quick)")
    parser.add_argument("--initial", choices=("fan-in", "torch"), default="fan-in")
    given = parser.parse_args()
    images, sizes, seeds = (64, (16, 32), 2) if given.quick else (1797, SIZES, 5)
    seeds = given.seeds or seeds
    if seeds < 2:
        parser.error(f"--seeds is {seeds}; the spread over the seeds decides, so give 2 or more")
    torch.set_num_threads(1)
    x, y = digits(images)
    courses = {kind: same_set(partial(network, kind, given.initial), seeds, x, y) for kind in ("BN", "GNBN", "half BN")}
    found, trained = {}, {}
    for arm, (kind, rate) in ARMS.items():
        found[arm], trained[arm] = subsets(partial(network, kind, given.initial), rate, seeds, sizes, x, y)
    errors = {name: noise(trained[arm], depths, x, y) for name, (arm, depths) in NOISY.items()}

    print(
        f"{images} digits of 8 x 8 pixels, {seeds} seeds, initial weights {given.initial}, torch {torch.__version__}; "
        "mean ± standard deviation over the seeds"
    )
    tables(courses, found, sizes, errors)
    for title, all_of_it in {
        "S = S'": claims.of_same_set(courses),
        "S in S'": claims.of_subsets(found, sizes),
        "noise": claims.of_noise(errors),
    }.items():
        print(f"\n{title:75} {'mean ± sd':^17} {'95 % interval':^19}  holds if")
        print(*(claim.row() for claim in all_of_it), sep="\n")

    folder = given.out or Path(tempfile.mkdtemp(prefix="estimation_shift_mlp-"))
    figures.save(
        {
            "error-gap": figures.error_gap(courses),
            "shift-over-iterations": figures.shift_over_iterations(courses),
            "shift-by-depth": figures.shift_by_depth(found, sizes),
            "error-by-size": figures.error_by_size(found, sizes),
            "noise": figures.noise_sweep(errors),
        },
        folder,
    )
    print(f"\nfigures: {folder}")


if __name__ == "__main__":
    main()
