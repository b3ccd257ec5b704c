"""Settings: flag, then environment, then file, then default."""

import pytest

from induce.settings import resolve_settings, settings_file
from sandboxes import SettingsError


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_precedence(tmp_path, monkeypatch):
    assert resolve_settings().search.seconds == 10.0
    (tmp_path / "induce.toml").write_text("[search]\nseconds = 1\nmax_terms = 5\n[limits]\nseconds = 3\n")
    assert resolve_settings().search.seconds == 1
    assert resolve_settings().limits.seconds == 3
    monkeypatch.setenv("INDUCE_SEARCH__SECONDS", "2")
    assert resolve_settings().search.seconds == 2
    resolved = resolve_settings({"search": {"seconds": 4}, "solver": {"attempts": None}})
    assert (resolved.search.seconds, resolved.search.max_terms, resolved.solver.attempts) == (4, 5, None)


def test_the_nearest_file_is_used(tmp_path, monkeypatch):
    assert settings_file() is None
    (tmp_path / "induce.toml").write_text("[solver]\nattempts = 2\n")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert settings_file() == tmp_path / "induce.toml"
    assert resolve_settings().solver.attempts == 2


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            "[search]\nseconds = 0\n",
            r"search\.seconds cannot be 0 \(from .*induce\.toml\): .* greater than 0",
        ),
        ("[search]\nsecond = 1\n", r"there is no setting search\.second \(in .*induce\.toml\)"),
        ("[limits]\nmemory = 1\n", r"there is no setting limits\.memory"),
        ("[limits]\nmemory_mb = -1\n", r"limits"),
        ("[serch]\nseconds = 1\n", r"there is no setting serch \(in .*induce\.toml\)"),
        (
            "[solver]\nselect = 'best'\n",
            r"solver\.select cannot be 'best' .*: Input should be 'all-rounds'",
        ),
        ("seconds =", r"cannot read the settings in .*induce\.toml"),
    ],
)
def test_senseless_settings_are_named(tmp_path, toml, message):
    (tmp_path / "induce.toml").write_text(toml)
    with pytest.raises(SettingsError, match=message):
        resolve_settings()


def test_settings_survive_the_run_log():
    settings = resolve_settings({"search": {"seconds": 3}})
    assert type(settings).model_validate(settings.model_dump(mode="json")) == settings
