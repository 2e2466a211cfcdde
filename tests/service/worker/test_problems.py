"""The problems of failures: a code for each kind, the next step, and no path of the server."""

import errno
import sys
from pathlib import Path

import pytest
import torch

from calibrate import errors
from calibrate.recipe import Recipe, parse
from service.worker.problems import problem_of


def caught(function: object, *arguments: object) -> BaseException:
    with pytest.raises(Exception) as error:  # noqa: PT011  (whatever it raises is what is asked about)
        function(*arguments)  # type: ignore[operator]
    return error.value


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.UnsafeInputError, "unsafe-input"),
        (errors.UsageError, "usage"),
        (errors.ModelError, "model"),
        (errors.DataError, "data"),
        (errors.UnavailableError, "unavailable"),
        (errors.ExportError, "export"),
        (errors.GateError, "failed"),
    ],
)
def test_each_kind_of_error_has_its_code_and_its_own_words(kind: type[errors.AfternormError], code: str) -> None:
    problem = problem_of(kind("the value is wrong; give another."))
    assert (problem.code, problem.detail) == (code, "the value is wrong; give another.")


def test_the_fields_of_a_recipe_are_named_by_path() -> None:
    error = caught(parse, Recipe, {"steps": [{"kind": "set_alpha", "alpha": 2}]}, "the recipe")
    (field,) = problem_of(error).errors
    assert field.path == "recipe.steps[0].alpha"


def test_paths_of_the_server_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    message = f"{tmp_path}/in/w.pth, ../out/w.safetensors, {tmp_path}/tmp/x and {sys.prefix}/lib/y"
    assert problem_of(errors.ModelError(message)).detail == "w.pth, w.safetensors, tmp/x and lib/y"


def wrapped(error: Exception) -> errors.AfternormError:
    try:
        try:
            raise error
        except Exception:
            raise errors.ModelError("it does not fit") from None
    except errors.ModelError as outer:
        return outer


def test_running_out_of_memory_is_seen_through_other_errors() -> None:
    torchs = caught(torch.empty, 2**60)
    for error in (torchs, MemoryError(), OSError(errno.ENOMEM, "no memory"), torch.OutOfMemoryError("CUDA")):
        assert problem_of(error).code == "out-of-memory"
        assert problem_of(wrapped(error)).code == "out-of-memory"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_running_out_of_space_is_seen_through_other_errors(number: int) -> None:
    assert problem_of(wrapped(OSError(number, "no space"))).code == "no-space"


def test_an_internal_error_is_reported_without_its_message() -> None:
    problem = problem_of(KeyError("/secret/place"))
    assert (problem.code, problem.status) == ("internal", 500)
    assert "KeyError" in problem.detail
    assert "secret" not in problem.model_dump_json()
