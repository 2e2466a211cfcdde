"""The house's rules that a machine can hold: sizes of files and folders, and one name for one thing."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [path for path in (ROOT / "calibrate").rglob("*.py") if path.name != "__init__.py"]


def names_of(path: Path) -> list[str]:
    """The functions and classes that a module defines."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]


def imported(path: Path) -> set[str]:
    """Every module that a module imports anywhere, and what it takes from them."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def test_no_file_is_a_crumb() -> None:
    modules = [path for path in MODULES if path.name != "table.py"]
    small = {str(path.relative_to(ROOT)) for path in modules if len(path.read_text().splitlines()) < 30}
    assert small == set()


def test_no_folder_is_a_heap() -> None:
    held = Counter(path.parent for path in MODULES)
    assert max(held.values()) <= 30


@pytest.mark.parametrize("package", ["calibrate", "service"])
def test_no_function_or_class_has_the_name_of_its_module(package: str) -> None:
    commands = {"service/app/gc.py", "service/app/serve.py", "service/app/worker.py"}  # named by entry points
    same = {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py") if path.stem in names_of(path)}
    assert same <= commands


def test_a_class_has_one_meaning() -> None:
    classes = Counter(
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in classes.items() if times > 1] == []


def test_no_test_module_is_imported() -> None:
    """What tests share has its home in ``tests/builders`` and ``tests/reference.py``."""
    tests = ROOT / "tests"
    importing = {
        (str(path.relative_to(ROOT)), name)
        for path in tests.rglob("*.py")
        for name in imported(path)
        if any(part.startswith("test_") for part in name.split("."))
    }
    assert importing == set()


def test_no_code_asks_which_class_a_step_is() -> None:
    """What a step needs, may and costs are attributes of it or of its handler."""
    rooms = ("calibrate/engine", "calibrate/cli", "calibrate/report", "service")
    asking = [
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"isinstance\(step,|step\.kind (==|in|not in) [\"'(\[{]", path.read_text(encoding="utf-8"))
    ]
    assert asking == []
