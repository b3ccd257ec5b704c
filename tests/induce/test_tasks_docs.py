"""Every snippet of docs/own-tasks.md does what the page says."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from induce.cli import app
from induce.tasks.files import FORMATS
from sandboxes.values import decode, encode

PAGE = (Path(__file__).parents[2] / "docs" / "own-tasks.md").read_text(encoding="utf-8")
FILES = re.findall(r'```\w+ title="(.+?)"\n(.*?)```', PAGE, re.DOTALL)
COMMANDS = re.findall(r"```console\n\$ (.+?)\n(.*?)```", PAGE, re.DOTALL)
PYTHON = "".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in FILES:
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[command for command, _ in COMMANDS])
@pytest.mark.usefixtures("files")
def test_commands(command: str, output: str):
    program, *arguments = shlex.split(command)
    assert program == "induce"
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert result.exit_code == 0, result.output
    shown = [line.rstrip() for line in result.stdout.rstrip().splitlines()]
    assert shown == output.rstrip().splitlines()


@pytest.mark.usefixtures("files")
def test_python():
    snippets = doctest.DocTestParser().get_doctest(PYTHON, {}, "own-tasks.md", None, None)
    assert len(snippets.examples) > 5
    assert doctest.DocTestRunner().run(snippets).failed == 0


def test_the_table_of_formats_is_complete():
    rows = re.findall(r"^\| `([a-z][\w-]*)` \| .* \| .* \|.*\|$", PAGE.split("## Formats")[1], re.MULTILINE)
    assert sorted(rows) == sorted(FORMATS)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ((1, 2), {"$tuple": [1, 2]}),
        ({1, 2}, {"$set": [1, 2]}),
        (frozenset({1, 2}), {"$frozenset": [1, 2]}),
        ({1: "a"}, {"$dict": [[1, "a"]]}),
        ({"$a": 1}, {"$dict": [["$a", 1]]}),
        (float("-inf"), {"$float": "-inf"}),
        (1 + 2j, {"$complex": [1.0, 2.0]}),
        (b"\x01\xff", {"$bytes": "01ff"}),
        ("\ud800", {"$str": "eda080"}),
        (2**1024, {"$int": "0x1" + "0" * 256}),
    ],
)
def test_the_table_of_values(value: object, encoded: dict[str, object]):
    assert encode(value) == encoded
    assert decode(encode(value)) == value
    [tag] = encoded
    assert f'"{tag}"' in PAGE
