"""Settings come from the environment, are frozen, and name what is wrong."""

from pathlib import Path

import pytest

from calibrate.errors import UsageError
from service.settings import Settings


def test_each_field_has_its_variable() -> None:
    settings = Settings.from_environment({"AFTERNORM_DATA_DIR": "/srv/x", "AFTERNORM_CPU_SLOTS": "3", "HOME": "/root"})
    assert settings == Settings(data_dir=Path("/srv/x"), cpu_slots=3)


def test_what_is_given_goes_before_the_environment_and_none_does_not() -> None:
    environment = {"AFTERNORM_CPU_SLOTS": "3", "AFTERNORM_ATTEMPTS": "2"}
    settings = Settings.from_environment(environment, cpu_slots=5, attempts=None)
    assert (settings.cpu_slots, settings.attempts) == (5, 2)


def test_the_directory_is_absolute_wherever_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().data_dir == tmp_path / "data"
    assert Settings.from_environment(data_dir="kept").data_dir == tmp_path / "kept"


def test_factories_are_separated_by_commas() -> None:
    assert Settings.from_environment({"AFTERNORM_FACTORIES": "a.b:c, d:e,"}).factories == ("a.b:c", "d:e")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"AFTERNORM_CPU_SLOTS": "many"}, "AFTERNORM_CPU_SLOTS"),
        ({"AFTERNORM_ATTEMPTS": "0"}, "AFTERNORM_ATTEMPTS"),
        ({"AFTERNORM_LEASE_SECONDS": "2"}, "heartbeat"),
    ],
)
def test_what_cannot_be_used_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Settings.from_environment(environment)
