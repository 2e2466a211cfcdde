"""Numbers that a rebuild must not change: run the commands, and compare what comes out with what is stored.

    python -m tests.benchmarks.before_after [--record] [--only digests demo probe ...]

Without ``--record`` it compares with ``before_after.json``, prints what differs, and exits 1 if anything does.

Of each folder that a command writes are stored: the verdict, the SHA-256 of the tuned network's tensors and of the
ONNX file's initializers, and the set of all floats in the JSON files. Neither the names nor the nesting of JSON fields
matter, so that both may change. Left out are times, latencies, and what describes files or the machine. Of recipes the
digest is stored. The recipes and the other documents that the commands read stand in ``before_after.json`` too.

The digits come from ``afternorm demo``. CIFAR ResNet-20 and 5,000 images come from ../shared (or $AFTERNORM_SHARED);
where that is not there, these parts are skipped. Digits and CIFAR run at the same time, each on one thread.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx
import safetensors

from calibrate import PRESETS, Recipe

ROOT = Path(__file__).parents[2]
STORED = Path(__file__).with_suffix(".json")
SHARED = Path(os.environ.get("AFTERNORM_SHARED", ROOT.parent / "shared"))
AFTERNORM = Path(sys.executable).parent / "afternorm"
#: How many numbers are printed at most of those that are missing, and of those that are new.
SHOWN = 8
VERDICTS = ("improved", "no evidence", "worse")
#: The JSON fields whose numbers are not compared.
LEFT_OUT = re.compile("seconds|timing|latency|_ms|^(environment|artifacts|serving|parity)$")

DIGITS = """--architecture cifar/resnet8 --architecture-args '{in_channels: 1}'
--preprocessing out/inputs/preprocessing.yaml"""
SCANNED = f"--model out/inputs/digits-resnet8.safetensors {DIGITS} --data out/inputs/scanned-digits.npz"
METHODS = "iew,prediction_time_bn,bn_alpha,tent,eta,eata,sar,lame"
CALIBRATE = f"calibrate --latency-runs 0 {SCANNED}"
CIFAR = f"""--model '{SHARED / "models/cifar10-resnet20.th"}' --architecture cifar/resnet20
--data '{SHARED / "data/cifar10-val-5k.zip"}'"""

#: Part, folder that is written, and command. The demo writes what the others on the digits read.
ON_DIGITS = (
    ("demo", "out", "demo"),
    ("demo", "evaluated", "evaluate --model out/scanned/tuned.safetensors --data out/inputs/scanned-digits.npz"),
    ("probe", "probed", f"probe {SCANNED}"),
    ("compare", "compared", f"compare comparison.json {SCANNED}"),
    ("auto", "searched", f"{CALIBRATE} --recipe auto --budget 20-passes"),
    ("finetune", "finetuned", f"finetune finetuning.json {SCANNED}"),
    ("finetune", "planned", f"finetune finetuning.json {SCANNED} --dry-run"),
    ("finetune", "planned-long", f"finetune many-fields.json {SCANNED} --dry-run"),
    ("adapt", "adapted", f"adapt {SCANNED} --methods {METHODS} --seeds 1 --samples 200"),
    ("adapt", "kept", f"adapt {SCANNED} --keep tent"),
    ("rest", "served", "jobs submit --latency-runs 0"),
    ("learn", "affine", f"{CALIBRATE} --recipe affine.json"),
    ("learn", "alphas", f"{CALIBRATE} --recipe alphas.json"),
    ("learn", "precise", f"{CALIBRATE} --recipe precise_bn --training-data out/inputs/digits.npz"),
    ("batch", "runs", "batch manifest.json"),
)
ON_CIFAR = (
    ("corruptions", "corrupted", f"probe {CIFAR} --recipe corruptions.json"),
    ("cifar", "cifar-alpha", f"calibrate {CIFAR} --latency-runs 0"),
    ("cifar_auto", "cifar-auto", f"calibrate {CIFAR} --latency-runs 0 --recipe auto --budget 20-passes"),
)

#: What is stored of a folder, by kind: a value, or a list whose order says nothing.
Record = dict[str, Any]


def digests(stored: Iterable[str]) -> dict[str, Record]:
    """The digests of the presets, and of the recipes that stand in the stored file as JSON."""
    recipes = dict(PRESETS) | {text: Recipe(**json.loads(text)) for text in stored if text.startswith("{")}
    return {name: {"digest": recipe.digest} for name, recipe in recipes.items()}


def leaves(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each single value of a JSON document that is not left out, with the keys that lead to it."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if not LEFT_OUT.search(str(key)):
                yield from leaves(inner, (*keys, str(key)))
    else:
        yield keys, value


def sha256(tensors: Iterable[tuple[Any, ...]]) -> str:
    """The SHA-256 of tensors, whatever their order; the last item of each are its bytes."""
    rows = sorted(f"{described} {hashlib.sha256(data).hexdigest()}" for *described, data in tensors)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def add_file(record: Record, path: Path) -> None:
    """Put what is measured in the file at ``path`` into ``record``; an ONNX file's names are the exporter's."""
    if path.suffix == ".safetensors":
        found = safetensors.deserialize(path.read_bytes())
        record["tensors"] = sha256((name, item["dtype"], item["shape"], item["data"]) for name, item in found)
    elif path.suffix == ".onnx":
        weights = onnx.load(path).graph.initializer
        found = [(item.data_type, [*item.dims], onnx.numpy_helper.to_array(item).tobytes()) for item in weights]
        record["initializers"] = sha256(found)
    elif path.suffix == ".json":
        values = list(leaves(json.loads(path.read_text()), (path.stem,)))
        verdicts = [(len(keys), value) for keys, value in values if value in VERDICTS]  # the least nested counts
        record["verdict"] = record.get("verdict") or min(verdicts, default=(0, None))[1]
        numbers = {repr(value): ".".join(keys) for keys, value in values if isinstance(value, float)}
        record["numbers"] = record.get("numbers", {}) | numbers


@dataclass(frozen=True)
class Bench:
    """The folder in which commands run, and their environment."""

    folder: Path
    environment: dict[str, str]

    def afternorm(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        ran = subprocess.run(
            [AFTERNORM, *words], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            print(f"afternorm {shlex.join(words)}\n{ran.stderr}", file=sys.stderr, flush=True)
        return ran

    def measure(self, command: str, out: str) -> dict[str, Record]:
        """Run a command that writes into ``out``, and measure each folder there."""
        ran = self.afternorm([*shlex.split(command), "--out", out])
        records: dict[str, Record] = {out: {"exit code": ran.returncode}}
        if "--dry-run" in command:
            records[out]["digests"] = sorted(set(re.findall(r"\b[0-9a-f]{64}\b", ran.stdout)))
        for path in sorted((self.folder / out).rglob("*.*")):
            add_file(records.setdefault(path.parent.relative_to(self.folder).as_posix(), {}), path)
        return {name: record for name, record in records.items() if record}

    @contextmanager
    def server(self) -> Iterator[str]:
        """A server that has the digits' network and data, as the options that name all three."""
        log = self.folder / "serve.log"
        words = [AFTERNORM, "serve", "--port", "0", "--data-dir", "data"]
        with log.open("w") as errors:
            server = subprocess.Popen(words, cwd=self.folder, env=self.environment, stderr=errors)
        try:
            while not (url := re.search(r"http://\S+:\d+", log.read_text())):
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            options = f"--url {url[0]}"
            for kind, path in (("model", f"digits-resnet8.safetensors {DIGITS}"), ("dataset", "scanned-digits.npz")):
                added = self.afternorm(shlex.split(f"{kind}s add out/inputs/{path} --url {url[0]}"))
                options += f" --{kind} {added.stdout.strip()}"
            yield options
        finally:
            server.terminate()
            server.wait(60)

    def part(self, name: str) -> dict[str, Record]:
        """All records of the part of that name."""
        records: dict[str, Record] = {}
        with self.server() if name == "rest" else nullcontext("") as options:
            for part, out, command in ON_DIGITS + ON_CIFAR:
                if part == name:
                    records |= self.measure(f"{command} {options}", out)
        return records


def to_store(record: Record) -> Record:
    """The record with its numbers as a sorted list, without their places."""
    return record | ({"numbers": sorted(map(float, record["numbers"]))} if "numbers" in record else {})


def differences(before: Record, now: Record) -> Iterator[str]:
    """What differs between two records of the same folder, one line each."""
    for kind in sorted(before.keys() | now.keys()):
        stored, found = before.get(kind), now.get(kind)
        if kind == "numbers":
            old, new = set(map(repr, stored or ())), found or {}
            missing = [number for number in sorted(old, key=float) if number not in new]
            added = [f"{number} ({place})" for number, place in new.items() if number not in old]
            for what, rows in (("missing", missing), ("new", added)):
                if rows:
                    yield f"numbers: {len(rows)} {what}: {', '.join(rows[:SHOWN])}{', …' if rows[SHOWN:] else ''}"
        elif stored != found:
            yield f"{kind}: {stored} was stored, now {found}"


def machine() -> dict[str, Any]:
    """What the bits may depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    facts["flags"] = " ".join(sorted({"avx2", "avx512f", "amx_tile"} & set(facts.get("flags", "").split())))
    versions = {name: metadata.version(name) for name in ("torch", "torchvision", "numpy", "pillow", "scikit-learn")}
    return {name: facts.get(name) for name in ("model name", "cpu family", "model", "stepping", "flags")} | versions


def compared(before: dict[str, Record], now: dict[str, Record]) -> list[str]:
    """What differs between two runs of a part, one line each."""
    lines = [f"{name}: is missing" for name in before if name not in now]
    lines += [f"{name}: is new" for name in now if name not in before]
    for name in sorted(before.keys() & now.keys()):
        lines += [f"{name}: {line}" for line in differences(before[name] or {}, now[name])]
    return lines


def run(bench: Bench, parts: list[str], stored: Mapping[str, dict[str, Record]]) -> dict[str, dict[str, Record]]:
    """Run parts one after the other, and print of each what differs from what is stored; give back those that do."""
    found = {}
    for part in parts:
        start = time.perf_counter()
        before = stored.get(part, {})
        now = digests(before) if part == "digests" else bench.part(part)
        lines = compared(before, now)
        if lines:
            found[part] = now
        text = f"{part:<12}{time.perf_counter() - start:4.0f} s  {'DIFFERENT' if lines else 'the same'}"
        print("\n    ".join([text, *lines]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(dict.fromkeys(["digests", *(part for part, _, _ in ON_DIGITS + ON_CIFAR)]))
    parser.add_argument("--record", action="store_true", help="store what comes out")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    given = parser.parse_args()
    stored, here = json.loads(STORED.read_text()), machine()
    if here != stored["machine"]:
        print(f"RECORDED ON ANOTHER MACHINE: bits may differ.\n  there: {stored['machine']}\n  here:  {here}")
    cifar = [name for name in names if name in given.only and name in {part for part, _, _ in ON_CIFAR}]
    digits = [name for name in names[1:] if name in given.only and name not in cifar]
    if cifar and not SHARED.is_dir():
        print(f"SKIPPED: {', '.join(cifar)}, since {SHARED} is not there")
        cifar = []
    if given.record and here != stored["machine"] and [*digits, *cifar] != names[1:]:
        parser.error("the stored numbers are another machine's, so record all parts, or none")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AFTERNORM_")} | {
        "OMP_NUM_THREADS": str(stored["threads"]), "CUDA_VISIBLE_DEVICES": "", "AFTERNORM_DRAIN_SECONDS": "1",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        bench = Bench(Path(folder), environment)
        for name, document in stored["documents"].items():
            (bench.folder / name).write_text(json.dumps(document))
        found = run(bench, ["digests"] if "digests" in given.only else [], stored["parts"])
        other = pool.submit(run, bench, cifar, stored["parts"])
        if digits and "demo" not in digits:
            bench.measure("demo", "out")
        found |= run(bench, digits, stored["parts"]) | other.result()
    if given.record:
        for part, records in found.items():
            stored["parts"][part] = {name: to_store(record) for name, record in sorted(records.items())}
        STORED.write_text(json.dumps(stored | {"machine": here}, indent=1) + "\n")
    elif found:
        sys.exit(f"{', '.join(found)}: not as before")


if __name__ == "__main__":
    main()
