"""Adaptation methods on streams of corrupted CIFAR-10: online top-1, and what was gained on the network and on IEW.

    python -m tests.benchmarks.adaptation_table [--images 1000] [--one-by-one 200] [--seeds 3]

ResNet-20 of ../shared (or $AFTERNORM_SHARED) on its validation images, which are JPEG files and so a mild shift, as
they are, and with one corruption of each kind at severity 5. Streams: shuffled and class-sorted in batches of 200, and
one by one, for which fewer images are taken, because it is slow. The second table is what the diagnosis says before.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from calibrate import Recipe, open_model, retrofit
from calibrate.steps import Adaptation, Domain, ProbeAdaptation, ProbeResult, Stream
from calibrate.values import Estimate

DOMAINS = [Domain()] + [
    Domain(corruption=name, severity=5) for name in ("gaussian_noise", "defocus_blur", "fog", "pixelate")
]
SHUFFLED = [Stream(batch_size=200, domains=(domain,)) for domain in DOMAINS]
SORTED = [Stream(order="class_sorted", batch_size=200, domains=(domain,)) for domain in DOMAINS]
ONE_BY_ONE = [Stream(batch_size=1, domains=(domain,)) for domain in DOMAINS]


def points(difference: Estimate | None) -> str:
    """A difference of top-1 with its interval, in points."""
    if difference is None:
        return ""
    return f"{100 * difference.value:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--one-by-one", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    shared = Path(os.environ.get("AFTERNORM_SHARED", "../shared"))
    opened = open_model(shared / "models/cifar10-resnet20.th", "cifar/resnet20")
    print(
        "| stream | images | method | top-1 % | minus source | minus IEW | source change | collapses | passes a batch |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    diagnoses = []
    for stream in (*SHUFFLED, *SORTED, *ONE_BY_ONE):
        start = time.perf_counter()
        images = given.one_by_one if stream.batch_size == 1 else given.images
        step = ProbeAdaptation(streams=(stream,), seeds=given.seeds, max_samples=images)
        outcome = retrofit(
            opened.model,
            Recipe(steps=(step,)),
            data=shared / "data/cifar10-val-5k.zip",
            preprocessing=opened.preprocessing,
        )
        (found,) = outcome.summary.of(ProbeResult)
        assert isinstance(found, Adaptation)
        (scores,) = found.streams
        for item in scores.methods:
            deviation = "" if item.top1_sd is None else f" ± {100 * item.top1_sd:.1f}"
            change = "" if item.source_change is None else f"{100 * item.source_change:+.1f}"
            print(
                f"| {stream.title} | {found.images} | {item.method.kind if item.method else 'source'} | "
                f"{100 * item.top1:.1f}{deviation} | {points(item.against_source)} | {points(item.against_iew)} | "
                f"{change} | {item.collapses:.3g} + {item.resets:.3g} | {item.forward:.3g} + {item.backward:.3g} |",
                flush=True,
            )
        before = scores.diagnosis
        recommended = before.recommended.kind if before.recommended else "leave it"
        warned = ", ".join(warning.code for warning in before.warnings) or "nothing"
        diagnoses.append(f"| {stream.title} | {before.measures.shift:.2f} | {warned} | {recommended} |")
        print(f"{stream.title}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print("\n| stream | shift | warned of | recommended |\n|---|---|---|---|")
    print("\n".join(diagnoses))


if __name__ == "__main__":
    main()
