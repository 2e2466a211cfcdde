"""Do honest checkpoints open, in the layouts that real tools write?

    python -m tests.benchmarks.checkpoint_corpus [--keep FOLDER]

The demo's trained network, in every layout of ``tests.builders.layouts``, whose tools need not be installed. Printed is
for each whether it opened with equal tensors, and with which of its weights where it has several, or why not; then the
files that hold no weights of the network, and how they are refused. Exits 1 where more than 4 of the honest ones do not
open with equal tensors, or where one that should be refused is opened or fails otherwise.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from calibrate import open_model
from calibrate.demo import ARCHITECTURE, ARCHITECTURE_ARGS
from calibrate.errors import AfternormError
from tests.builders.layouts import LAYOUTS, REFUSED, opening

SPARED = 4
WIDTH = 100


def opened(path: Path) -> nn.Module:
    return open_model(path, ARCHITECTURE, ARCHITECTURE_ARGS).model


def first_sentence(reason: str, folder: Path) -> str:
    """As far as a line has place."""
    sentence = reason.replace(f"{folder}/", "").partition("; ")[0].partition(". ")[0]
    return sentence if len(sentence) <= WIDTH else f"{sentence[: WIDTH - 1]}…"


@contextmanager
def folder_at(keep: Path | None, name: str) -> Iterator[Path]:
    """Lend a folder for one layout's files, kept below ``keep`` where that is given."""
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = keep / "".join(letter if letter.isalnum() else "-" for letter in name)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


def honest(keep: Path | None) -> int:
    """Print the table of what should open; how many did not."""
    failed = 0
    for name, layout in LAYOUTS.items():
        with folder_at(keep, name) as folder:
            written, taken, reason = opening(layout, folder, opened)
            failed += taken is None
            others = [place for place in written.holds if place != taken]
            beside = f", beside {', '.join(others)}" if others else ""
            said = (
                f"NO    {first_sentence(reason, folder)}" if taken is None else f"equal {taken or 'whole file'}{beside}"
            )
        print(f"  {name:<48} {said}")
    return failed


def hopeless(keep: Path | None) -> int:
    """Print the table of what should be refused; how many were not, by a sentence with the right word in it."""
    failed = 0
    for name, (write, word) in REFUSED.items():
        with folder_at(keep, name) as folder:
            path = write(folder)
            try:
                opened(path)
                said, right = "OPENED", False
            except AfternormError as error:
                said, right = first_sentence(str(error), folder), word in str(error)
            failed += not right
        print(f"  {name:<48} {'' if right else 'NOT BY NAME: '}{said}")
    return failed


def main() -> None:
    """Print both tables, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="keep the files below this folder")
    keep = parser.parse_args().keep
    print("Honest checkpoints of the demo's network")
    shut_out = honest(keep)
    print("\nFiles without weights of the network that could be read")
    wrong = hopeless(keep)
    print(f"\n{len(LAYOUTS) - shut_out} of {len(LAYOUTS)} opened with equal tensors; ", end="")
    print(f"{len(REFUSED) - wrong} of {len(REFUSED)} others refused by name")
    sys.exit(shut_out > SPARED or wrong > 0)


if __name__ == "__main__":
    main()
