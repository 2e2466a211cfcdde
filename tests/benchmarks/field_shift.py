"""How often the probe `field_shift` says "shifted": on data of the same kind, which it should not, and on others.

    python -m tests.benchmarks.field_shift [--draws 500] [--quick]

ResNet-20 on 5,000 CIFAR-10 JPEG images, in two halves: references are drawn from one, data in the field from the other,
as they are, corrupted C-style, or with another mean and std; each draw is of both. Prints a table of the shares of
"shifted", with exact 95 % intervals, which takes about 9 minutes of one quiet core. Images come from ../shared (or
$AFTERNORM_SHARED).
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from torch import nn

from calibrate.data import Corrupted, Source
from calibrate.diagnose import ExampleMoments, chance_bands, example_moments, reference_layers, shift_from
from calibrate.engine import set_up_process
from calibrate.engine.passes.batches import SourceBatches
from calibrate.engine.passes.setting import PassForm, Setting
from calibrate.generators import numpy_generator
from calibrate.result import silent
from calibrate.steps import Corruption
from calibrate.surgery import find_sites
from tests.builders.published import PUBLISHED

SHARED = Path(os.environ.get("AFTERNORM_SHARED", Path(__file__).parents[2].parent / "shared"))
CORRUPTIONS: tuple[tuple[Corruption, int], ...] = (
    ("fog", 3),
    ("gaussian_noise", 2),
    ("contrast", 3),
    ("fog", 1),
    ("gaussian_noise", 1),
    ("contrast", 1),
    ("brightness", 1),
)
#: Another mean and std than ImageNet's, which the network was trained with.
PAIRS = {
    "mean and std .5": ((0.5,) * 3, (0.5,) * 3),
    "CIFAR-10's mean and std": ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
}
REFERENCES, SIZES = (250, 1000), (64, 256)

Moments = Mapping[str, ExampleMoments]


def gathered(model: nn.Module, source: Source, rows: NDArray[np.int64]) -> Moments:
    """The moments of the inputs of all layers, example by example."""
    setting = Setting(PassForm(64, 1), next(model.parameters()).device, silent)
    batches = SourceBatches(source, rows, setting, next(model.parameters()).dtype)
    return example_moments(model, batches, find_sites(model))


def some(moments: Moments, rows: NDArray[np.int64]) -> Moments:
    """Those of some examples."""
    return {name: replace(each, first=each.first[rows], second=each.second[rows]) for name, each in moments.items()}


def interval(times: int, of: int) -> str:
    """A share in per cent, with the interval of Clopper and Pearson."""
    low = 0.0 if times == 0 else float(beta.ppf(0.025, times, of - times + 1))
    high = 1.0 if times == of else float(beta.ppf(0.975, times + 1, of - times))
    return f"{100 * times / of:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=500, help="of reference and data")
    parser.add_argument("--quick", action="store_true", help="few images and draws; for a test of the script")
    given = parser.parse_args()
    draws = 3 if given.quick else given.draws
    set_up_process(1)
    model, source = PUBLISHED["resnet20"].open(SHARED)
    assert source.preprocessing is not None
    order = numpy_generator(0).permutation(len(source))[: 2500 if given.quick else None]
    here, there = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    fields = {"as they are": source}
    fields |= {f"{kind} {severity}": Corrupted(source, kind, severity, seed=0) for kind, severity in CORRUPTIONS}
    for name, (mean, std) in PAIRS.items():
        fields[name] = source.prepared_by(source.preprocessing.model_copy(update={"mean": mean, "std": std}))
    trusted = gathered(model, source, here)
    moments = {name: gathered(model, other, there) for name, other in fields.items()}
    print("| data | reference | " + " | ".join(f"{size} images" for size in SIZES) + " |")
    print("| --- | ---: | " + "---: | " * len(SIZES))
    for examples in REFERENCES:
        shifted = {(name, size): 0 for name in fields for size in SIZES}
        for draw in range(draws):
            generator = numpy_generator((1, examples, draw))
            reference = some(trusted, generator.choice(len(here), examples, replace=False))
            layers, bands = reference_layers(reference), chance_bands(reference, SIZES, seed=draw)
            for size, band in zip(SIZES, bands, strict=True):
                rows = generator.choice(len(there), size, replace=False)
                for name in fields:
                    found = shift_from(layers, some(moments[name], rows))
                    assert found is not None
                    shifted[name, size] += found.mean > band.shift or found.misfit > band.misfit
        for name in fields:
            cells = " | ".join(interval(shifted[name, size], draws) for size in SIZES)
            print(f"| {name} | {examples} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
