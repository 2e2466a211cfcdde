"""Every hostile data file ends in an error of ours that names what is wrong, and in nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from calibrate.data import open_data
from calibrate.demo import PREPROCESSING, DemoInputs
from calibrate.errors import DataError, UnsafeInputError, UsageError
from tests.builders.commands import Ran, demo_options
from tests.builders.hostile_data import good, tar_bytes, write_all, write_zip
from tests.builders.sources import inputs_of


def below(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def read(data: Path) -> Tensor:
    return inputs_of(open_data(str(data), preprocessing=PREPROCESSING))


def test_each_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = below(tmp_path)
    assert len(made) >= 25
    for path, said in made:
        with pytest.raises((DataError, UnsafeInputError, UsageError)) as error:
            read(path)
        assert said in str(error.value), path
        assert str(path.parent) in str(error.value), path
    assert below(tmp_path) == before


def test_what_they_were_made_from_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.tar").write_bytes(tar_bytes(good()))
    write_zip(tmp_path / "good.zip", good())
    for name in ("good.tar", "good.zip"):
        assert read(tmp_path / name).shape == (20, 1, 8, 8)


def test_the_command_line_says_it_in_a_paragraph(
    tmp_path: Path, demo_inputs: DemoInputs, afternorm: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_all(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = below(tmp_path)
    for path, said in made:
        ran = afternorm("evaluate", *demo_options(demo_inputs, path), "--device", "cpu")
        assert ran.code in (DataError.exit_code, UnsafeInputError.exit_code, UsageError.exit_code), path
        assert "Traceback" not in ran.err, path
        assert said.split()[0] in ran.err, (path, ran.err)
        assert ran.out == ""
    assert below(tmp_path) == before
