"""The table of adapters against the union of methods."""

from typing import get_args

from calibrate.adapt import ADAPTERS
from calibrate.steps import Method


def test_every_method_has_its_adapter() -> None:
    assert set(ADAPTERS) == set(get_args(get_args(Method)[0]))
