"""What a network with searched statistics costs when it is served: the nodes of its ONNX graph, and its latency.

    python -m tests.benchmarks.served_statistics [--rows resnet20 efficientnet-lite0-fog-3] [--rounds 200]

The recipe ``statistics`` is carried out on rows of ``tests/benchmarks/gains.py``, whose passes are taken from
``--trials`` where they are there. The graphs of the original and of the tuned network must have the same nodes, in the
same order, with the same attributes and shapes. The latency is that in ONNX Runtime on one thread, batch 1: the
original, the tuned network and the original once more run in turn, timed by the CPU time of the thread; mean of the
fastest half of the rounds, and the 95 % bootstrap interval of the ratio to the original. The second ratio, of the
original to itself, shows what the timing resolves.
"""

import argparse
import platform
import tempfile
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from calibrate.engine import carry_out, set_up_process
from calibrate.engine.trials.folder import FolderTrials
from calibrate.recipe import PRESETS
from calibrate.steps import StatisticsSearch
from tests.benchmarks.gains import ROWS, SHARED, Row
from tests.benchmarks.iew_cost import in_runtime, processor, ratios
from tests.builders.graphs import exported, nodes, parameter_shapes
from tests.builders.runs import planned


def line(row: Row, trials: Path, rounds: int) -> str:
    """The row of the table for one network and its images."""
    model, source = row.open(SHARED)
    kept = FolderTrials(trials / row.name, f"{row.batch_size} {metadata.version('torch')}")
    checked = planned(model, PRESETS["statistics"], source, batch_size=row.batch_size, trials=kept)
    outcome = carry_out(model, checked, "", {})
    search = outcome.summary.last(StatisticsSearch)
    assert search is not None, "the recipe searches"
    x = next(iter(source.batches(np.arange(2), 2))).inputs
    before, after = exported(model, x), exported(outcome.model, x)
    assert nodes(before) == nodes(after), "the graphs differ in a node"
    assert parameter_shapes(before) == parameter_shapes(after), "the graphs differ in the shapes of their numbers"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(node[0] for node in nodes(after)).items()))
    original, tuned, again = ratios([in_runtime(graph, x[:1]) for graph in (before, after, before)], rounds)
    first, last = search.chosen
    return f"| {row} | {first:g} → {last:g} | {len(nodes(after))}: {kinds} | same | {original} | {tuned} | {again} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=["resnet20", "efficientnet-lite0-fog-3"])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--trials", type=Path, default=Path(tempfile.gettempdir()) / "afternorm-gains")
    given = parser.parse_args()
    if not SHARED.is_dir():
        print(f"skipped: needs the shared models and data, and {SHARED} is not there")
        return
    set_up_process(1)
    print(f"{processor()}; Python {platform.python_version()}, torch {torch.__version__}, ", end="")
    print(f"onnxruntime {onnxruntime.__version__}; 1 thread; batch 1; CPU time; {given.rounds} rounds.\n")
    print("| network and images | λ | nodes of the original | tuned: nodes | original | tuned | original again |")
    print("|---|---|---|---|---|---|---|")
    for row in ROWS:
        if row.name in given.rows:
            print(line(row, given.trials, given.rounds), flush=True)


if __name__ == "__main__":
    main()
