"""What a C-style corruption costs: milliseconds of one thread per image.

`python -m tests.benchmarks.corruptions [--quick]` prints a markdown table for 32 × 32 and 224 × 224 images, the mean
over the five severities. A millisecond per image is a second per 1,000.
"""

import argparse
import time

import numpy as np
from PIL import Image

from calibrate.data.c_style import corrupt
from calibrate.steps import CORRUPTION_SETS, Corruption

SIDES = {32: 40, 224: 6}


def milliseconds(corruption: Corruption, side: int, images: int) -> float:
    """CPU milliseconds for each image, once everything is loaded and compiled."""
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = np.array(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    for severity in range(1, 6):
        corrupt(image, corruption, severity, seed=0)
    begin = time.thread_time()
    for severity in range(1, 6):
        for seed in range(images):
            corrupt(image, corruption, severity, seed)
    return 1000 * (time.thread_time() - begin) / (5 * images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few images; for a test of the script")
    quick = parser.parse_args().quick
    print("| corruption | 32 × 32 | 224 × 224 |\n| --- | ---: | ---: |")
    sums = dict.fromkeys(SIDES, 0.0)
    for corruption in CORRUPTION_SETS["all"]:
        row = {side: milliseconds(corruption, side, 1 if quick else images) for side, images in SIDES.items()}
        print(f"| {corruption} | {' | '.join(f'{value:.2f}' for value in row.values())} |")
        sums = {side: sums[side] + value for side, value in row.items()}
    print(f"| all 19 | {' | '.join(f'{value:.1f}' for value in sums.values())} |")


if __name__ == "__main__":
    main()
