"""Hostile uploads: each is refused in the child with a problem that names its kind; nothing of it runs or gets out."""

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.builders import hostile_checkpoints
from tests.builders.hostile_checkpoints import attacks, zipped
from tests.builders.hostile_data import arrays, tars, zips
from tests.builders.hostile_pickles import STAND_INS, archive, bare, code, structures
from tests.service.worker.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), memory_bytes=8 * 2**30)
    yield server
    server.executor.close()


@pytest.mark.parametrize("attack", ["os.system", "eval", "exec", "getattr", "torch.load"])
def test_a_pickle_with_code_is_unsafe_and_does_not_run(server: Server, tmp_path: Path, attack: str) -> None:
    marker = tmp_path / "executed"
    document, _ = attacks(marker)[attack]
    write = hostile_checkpoints.bare if attack == "eval" else zipped
    write(document, tmp_path / "w.pth", 4)
    row = server.check_model(tmp_path / "w.pth")
    assert (row.state, row.problem["code"], row.problem["status"]) == ("refused", "unsafe-input", 422)
    assert "w.pth" in row.problem["detail"]
    assert str(tmp_path) not in row.problem["detail"]
    assert not marker.exists()


@pytest.mark.parametrize("stand_in", ["attribute", "numpy objects", "state of a partial"])
def test_code_inside_a_stand_in_is_unsafe_and_does_not_run(server: Server, tmp_path: Path, stand_in: str) -> None:
    archive(tmp_path / "w.pth", STAND_INS[stand_in](code(tmp_path / "executed")["os.system"]))
    row = server.check_model(tmp_path / "w.pth")
    assert (row.state, row.problem["code"]) == ("refused", "unsafe-input")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["deep tuples for a key", "doubled modules", "doubled dicts", "a huge bytearray"])
def test_a_structure_that_grows_does_not_end_the_worker(server: Server, tmp_path: Path, name: str) -> None:
    bare(tmp_path / "w.pth", structures()[name])
    row = server.check_model(tmp_path / "w.pth")
    assert (row.state, row.problem["code"]) == ("refused", "model")


def giant(path: Path) -> None:
    """A tensor of 2**60 bytes over a storage of four."""
    tensor = torch.zeros(1)
    tensor = torch.as_strided(tensor, (2**19, 2**19, 2**20), (0, 0, 0))
    torch.save({"w": tensor}, path)


def wrong_magic(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def endless_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**63) + b"{" + bytes(100))


def deep(path: Path) -> None:
    path.write_bytes(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"w": "x" * 100}, 2))


@pytest.mark.parametrize("write", [giant, wrong_magic, endless_header, deep, plain_pickle])
def test_what_is_no_checkpoint_is_refused(server: Server, tmp_path: Path, write: "object") -> None:
    write(tmp_path / "w.pth")  # type: ignore[operator]
    row = server.check_model(tmp_path / "w.pth")
    assert row.state == "refused"
    assert row.problem["code"] in ("model", "unsafe-input", "out-of-memory")
    assert row.weights is None


def test_hostile_data_are_refused(server: Server, tmp_path: Path) -> None:
    for folder in ("zips", "arrays"):
        (tmp_path / folder).mkdir()
    made = [hostile.path for hostile in (*zips(tmp_path / "zips"), *arrays(tmp_path / "arrays"))]
    wanted = {"traversal.zip", "pixel-bomb.zip", "declared-bomb.zip", "symlink.zip", "pickled.npz"}
    chosen = [path for path in made if path.name in wanted]
    assert len(chosen) == len(wanted)
    for name in ("symlink", "device", "traversal"):
        (tmp_path / f"{name}.tar").write_bytes(tars()[name][0])
        chosen.append(tmp_path / f"{name}.tar")
    before = sorted(tmp_path.rglob("*"))
    for path in chosen:
        row = server.check_dataset(path)
        assert row.state == "refused", path
        assert row.problem["code"] in ("data", "unsafe-input"), (path, row.problem)
        assert path.name in row.problem["detail"]
        assert str(tmp_path) not in row.problem["detail"]
    assert sorted(tmp_path.rglob("*")) == before
