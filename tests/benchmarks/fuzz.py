"""Does any damaged file end in something else than success or a sentence, within its time?

    python -m tests.benchmarks.fuzz [--count 2000] [--kind NAME ...] [--first 0] [--faults FOLDER]

For every kind of file that the product reads, honest files are damaged at random, from seeds, and opened and put to use
in a child process, which is ended where one takes longer than 20 seconds of a processor or wants 4 GiB more than the
process began with. Printed are how many opened, how many were refused, and every fault once, by what was raised and
where, with the first file that brought it about, which is kept. Exits 1 where there is a fault.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from calibrate.engine import set_up_process
from tests.builders.fuzzing.judging import SECONDS, Judgement, damaged, judged
from tests.builders.fuzzing.kinds import Kind, kinds

#: Seconds after which a child that says nothing is ended: its own alarm rings only between Python's instructions.
PATIENCE = 8 * SECONDS
MEMORY = 4 << 30


def child(kind: Kind, place: Path, first: int, end: int, pipe: Connection) -> None:
    """Judge the damaged files from ``first`` on, and tell each judgement."""
    set_up_process(1)
    torch.set_grad_enabled(True)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    place.mkdir(parents=True, exist_ok=True)
    printed = place / "printed"
    with printed.open("wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    for index in range(first, end):
        ending, content = damaged(kind, index)
        path = place / f"{index}{ending}"  # never an old one's name, for it may be mapped into memory still
        path.write_bytes(content)
        before = printed.stat().st_size
        judgement = judged(kind.opens, path)
        sys.stdout.flush()
        sys.stderr.flush()
        if printed.stat().st_size > before and not judgement.is_fault:
            judgement = Judgement(f"printed {printed.read_bytes()[before:][:150]!r}")
        path.unlink(missing_ok=True)
        pipe.send(judgement)
    pipe.close()


def attempts(kind: Kind, place: Path, first: int, end: int) -> list[Judgement]:
    """The judgements of the damaged files from ``first`` to ``end``, in as many children as it takes."""
    context = multiprocessing.get_context("fork")
    made: list[Judgement] = []
    while len(made) < end - first:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(kind, place, first + len(made), end, sender))
        process.start()
        sender.close()
        ended = "hang, out of Python's reach"
        while receiver.poll(PATIENCE):
            try:
                made.append(receiver.recv())
            except EOFError:
                process.join()
                ended = f"process died with exit code {process.exitcode}"
                break
        process.kill()
        process.join()
        if len(made) < end - first:
            made.append(Judgement(ended))
    return made


def told(name: str, kind: Kind, place: Path, first: int, end: int, faults: Path) -> int:
    """Print what became of damaged files, and keep the first of each fault; how many faults there were."""
    begun = time.monotonic()
    judgements = attempts(kind, place, first, end)
    counts = Counter(judgement.word for judgement in judgements if not judgement.is_fault)
    found: dict[tuple[str, str], list[int]] = {}
    for index, judgement in enumerate(judgements, start=first):
        if judgement.is_fault:
            found.setdefault((judgement.word.partition(":")[0], judgement.where), []).append(index)
    number = sum(map(len, found.values()))
    seconds = time.monotonic() - begun
    print(f"{name:<26} {counts['opened']:>6} {counts['refused']:>8} {number:>7}   {seconds:6.0f} s", flush=True)
    for (_, where), indices in found.items():
        ending, content = damaged(kind, indices[0])
        kept = faults / f"{name.replace(' ', '-').replace(',', '')}-{indices[0]}{ending}"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
        judgement = judgements[indices[0] - first]
        print(
            f"    {len(indices):>5} × {judgement.word}\n            at {where or 'no line known'}; {kept}", flush=True
        )
    return number


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="damaged files of each kind")
    parser.add_argument("--first", type=int, default=0, help="the number of the first, from which its damage follows")
    parser.add_argument("--kind", action="append", help="this kind only; may be given again")
    parser.add_argument("--faults", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-faults")
    given = parser.parse_args()
    set_up_process(1)
    with tempfile.TemporaryDirectory() as folder:
        known = kinds(Path(folder))
        print(f"{'kind':<26} opened  refused  faults")
        faults = sum(
            told(
                name, kind, Path(folder) / name.replace(" ", "-"), given.first, given.first + given.count, given.faults
            )
            for name, kind in known.items()
            if not given.kind or name in given.kind
        )
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
