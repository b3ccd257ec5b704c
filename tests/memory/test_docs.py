"""The examples in docs/memory.md work as they stand."""

import doctest
from pathlib import Path

import pytest

pytest.importorskip("alembic", reason="memories need the extra `memory`")

PAGE = Path(__file__).parents[2] / "docs" / "memory.md"


def test_every_example_gives_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 15
    assert result.failed == 0
