"""Peak memory of opening an archive of many small images and passing over it once.

`python -m tests.benchmarks.data_memory [zip|tar|tgz] [IMAGES]` has another process write the archive to a temporary
directory. The peak is this process's; what it held before opening the data is printed with it.
"""

import argparse
import io
import multiprocessing
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from calibrate.data import open_data
from calibrate.recipe import Preprocessing

CLASSES = 100


def images(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of ``count`` different 32 × 32 PNG files, class by class, as tar packs folders."""
    random = np.random.default_rng(0)
    for number in range(count):
        stream = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(stream, "PNG", compress_level=1)
        yield f"{number * CLASSES // count:03}/{number:06}.png", stream.getvalue()


def write(path: Path, count: int) -> None:
    """An archive of them, of the kind that the path's ending says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in images(count):
                archive.writestr(name, content)
        return
    with tarfile.open(path, "w:gz", compresslevel=1) if path.suffix == ".tgz" else tarfile.open(path, "w") as tar:
        for name, content in images(count):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def peak() -> float:
    """The most memory this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def drain(path: Path) -> tuple[float, int]:
    """Pass over the data once; when it was open, and how many examples there were."""
    source = open_data(path, preprocessing=Preprocessing())
    opened = time.perf_counter()
    return opened, sum(len(batch.indices) for batch in source.batches(np.arange(len(source)), 64))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", nargs="?", choices=("zip", "tar", "tgz"), default="zip")
    parser.add_argument("count", nargs="?", type=int, default=50_000, metavar="images")
    given = parser.parse_args()
    kind, count = given.kind, given.count
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        small, path = Path(folder) / f"small.{kind}", Path(folder) / f"data.{kind}"
        write(small, 200)
        drain(small)  # what code and threads take once is not the data's
        writer = multiprocessing.get_context("spawn").Process(target=write, args=(path, count))
        writer.start()
        writer.join()
        before, start = peak(), time.perf_counter()
        opened, examples = drain(path)
        after, end = peak(), time.perf_counter()
        sys.stdout.write(
            f"{kind}: {examples} images, {path.stat().st_size / 2**20:.0f} MiB; peak {before:.0f} MiB before, "
            f"{after:.0f} MiB after one pass (+{after - before:.0f}); opened in {opened - start:.1f} s, "
            f"all in {end - start:.1f} s\n"
        )


if __name__ == "__main__":
    main()
