"""Whatever a pickle asks for, and through whatever stand-in: nothing runs, and the file is refused in one sentence."""

import pickle
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
import torch

from calibrate.errors import AfternormError, UnsafeInputError
from calibrate.io import read_checkpoint
from calibrate.io.pickles.pickle_data import PickleReader
from calibrate.io.pickles.pickled_objects import opened_up
from calibrate.io.pickles.stand_ins import DamagedPickleError, UnsafePickleError
from calibrate.io.pickles.stored_tensors import Storage
from tests.builders import hostile_pickles
from tests.builders.audited import audited
from tests.builders.checkpoints import read_state
from tests.builders.hostile_pickles import (
    STAND_INS,
    archive,
    archives,
    bare,
    build,
    code,
    dict_of,
    named,
    odd_tensors,
    structures,
    text,
    tuple_of,
)

CANARY = Path("/tmp/afternorm-canary-that-is-never-made")
#: One for each way to ask for code; each goes through each stand-in.
WAYS = (
    *("os.system", "builtins.eval", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD of a class", "EXT1", "PERSID"),
    *("STACK_GLOBAL", "a chain of getattr", "a partial", "only named", "torch.load", "a torch file in a pickle"),
)
NAMES = list(code(CANARY))


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported for the first file of a kind has been."""
    folder = tmp_path_factory.mktemp("warm")
    archive(folder / "w.pth", b"N")
    read_checkpoint(folder / "w.pth")
    for fragment in (b"N", code(CANARY)["os.system"]):
        bare(folder / "w.pkl", fragment)
        with pytest.raises(AfternormError):
            read_checkpoint(folder / "w.pkl")


def test_there_are_enough() -> None:
    assert len(NAMES) + len(odd_tensors()) + len(structures()) >= 150
    assert not CANARY.exists()


def test_they_would_run(tmp_path: Path) -> None:
    """Otherwise the tests below would say nothing; those whose code is harmless to run show it for their kind."""
    canary = tmp_path / "canary"
    for name in ("os.system", "posix.system", "builtins.eval", "cProfile.run", "INST", "OBJ", "STACK_GLOBAL"):
        canary.unlink(missing_ok=True)
        pickle.loads(hostile_pickles.whole(code(canary)[name]))
        assert canary.exists(), name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("warm")
def test_code_is_refused_and_not_run(tmp_path: Path, name: str) -> None:
    for write in (archive, bare):
        write(tmp_path / "w.pth", code(tmp_path / "canary")[name])
        with audited() as events, pytest.raises(UnsafeInputError, match=r"asks for .+, which is code") as caught:
            read_checkpoint(tmp_path / "w.pth")
        assert events == []
        assert not (tmp_path / "canary").exists()
        assert len(str(caught.value)) < 700
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("stand_in", STAND_INS)
@pytest.mark.usefixtures("warm")
def test_no_stand_in_lets_code_through(tmp_path: Path, stand_in: str) -> None:
    canary = tmp_path / "canary"
    for way, fragment in code(canary).items():
        if way not in WAYS:
            continue
        for write in (archive, bare):
            write(tmp_path / "w.pth", STAND_INS[stand_in](fragment))
            with audited() as events, pytest.raises(UnsafeInputError):
                read_checkpoint(tmp_path / "w.pth")
            assert events == [], way
    assert not canary.exists()


class Unsuspicious(PickleReader):
    """Refuses no global, so that only what the reader is able to do is left to keep code from running."""

    def _refuse(self, what: str) -> None:
        pass


def read_all(content: bytes) -> None:
    """Read all pickles of a row, with one storage for every persistent id, and open what they hold."""
    storage = Storage(torch.zeros(2).untyped_storage(), torch.float32, 2)
    stream = BytesIO(content)
    try:
        while stream.tell() < len(content):
            opened_up(Unsuspicious(stream, len(content), lambda _: storage, read_all).read())
    except (UnsafePickleError, DamagedPickleError):
        pass


@pytest.mark.usefixtures("warm")
def test_nothing_would_run_if_no_global_were_refused(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    fragments = code(canary)
    through = {f"{way} as {name}": make(fragments[way]) for name, make in STAND_INS.items() for way in WAYS}
    for name, fragment in {**fragments, **through}.items():
        with audited() as events:
            read_all(hostile_pickles.whole(fragment))
        assert events == [], name
    assert not canary.exists()


@pytest.mark.parametrize("name", odd_tensors())
@pytest.mark.usefixtures("warm")
def test_odd_tensors_are_damage_or_no_weights(tmp_path: Path, name: str) -> None:
    for at, write in enumerate((archive, bare)):
        write(tmp_path / f"{at}.pth", odd_tensors()[name])
        with audited() as events:
            try:
                state = read_state(tmp_path / f"{at}.pth")
            except AfternormError as error:
                message = str(error)
            else:
                message = ""
                assert list(state) == ["w"] or not any(tensor.numel() for tensor in state.values())
                assert all(tensor.tolist() in ([], [0, 0]) for tensor in state.values())
        assert events == []
        assert len(message) < 700


def array(dtype: bytes, content: bytes = b"abcd") -> bytes:
    """A numpy array of one number, of a dtype made of these arguments."""
    made = hostile_pickles.call(named("numpy", "dtype"), dtype)
    start = hostile_pickles.call(named("numpy.core.multiarray", "_reconstruct"))
    return build(start, tuple_of(b"K\x01", b"K\x01\x85", made, b"\x89", hostile_pickles.blob(content)))


@pytest.mark.parametrize(
    "odd",
    [
        array(b"]" * 20_000 + b"a" * 19_999),
        array(text("f4"), b"abc"),
        array(text("O")),
        array(text("f" * 100_000)),
        array(text("\x1b[31m")),
        structures()["deep lists"],
        STAND_INS["state"](structures()["deep tuples"]),
        odd_tensors()["a huge instance"],
    ],
    ids=["deep dtype", "short", "objects", "long dtype", "escapes", "deep lists", "deep state", "huge instance"],
)
def test_odd_entries_of_a_state_dict_are_named_or_empty(tmp_path: Path, odd: bytes) -> None:
    bare(tmp_path / "w.pkl", dict_of(text("a"), array(text("f4")), text("w"), odd))
    (found,) = read_checkpoint(tmp_path / "w.pkl").state_dicts
    assert found.tensors["a"].numel() == 1
    assert found.beside == ("w",) or found.tensors["w"].numel() == 0


BOMBS = """
import resource, sys, time
from pathlib import Path
from calibrate.errors import AfternormError
from calibrate.io import read_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in map(Path, sys.argv[1:]):
    began = time.process_time()
    try:
        read_checkpoint(path)
        came = "opened"
    except AfternormError as error:
        came = "refused" if len(str(error)) < 700 and "\\n" not in str(error) else "said at length"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    print(f"{path.name}\\t{came}\\t{time.process_time() - began:.1f} s\\t{grown} MiB", flush=True)
"""


def test_structures_and_archives_end_in_bounded_time_and_memory(tmp_path: Path) -> None:
    """In one process of their own, since what goes wrong with them may end it."""
    paths = []
    for name, fragment in structures().items():
        for kind, write in (("zip", archive), ("bare", bare)):
            paths.append(tmp_path / f"{name} {kind}.pth")
            write(paths[-1], fragment)
    paths += archives(tmp_path).values()
    ran = subprocess.run(
        [sys.executable, "-c", BOMBS, *map(str, paths)], capture_output=True, text=True, timeout=240, check=False
    )
    rows = [line.split("\t") for line in ran.stdout.splitlines()]
    assert (ran.returncode, ran.stderr, len(rows)) == (0, "", len(paths)), ran.stdout + ran.stderr
    assert {came for _, came, _, _ in rows} <= {"opened", "refused"}, ran.stdout
    assert float(rows[-1][3].split()[0]) < 512, ran.stdout
    assert all(float(seconds.split()[0]) < 30 for _, _, seconds, _ in rows), ran.stdout
