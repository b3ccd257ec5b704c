"""Every snippet of docs/gnn.md does what the page says."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from induce.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "gnn.md").read_text(encoding="utf-8")
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
    snippets = doctest.DocTestParser().get_doctest(PYTHON, {}, "gnn.md", None, None)
    assert len(snippets.examples) > 12
    assert doctest.DocTestRunner().run(snippets).failed == 0


def test_every_command_is_named():
    commands = {command.name for group in app.registered_groups if group.name == "gnn"
                for command in group.typer_instance.registered_commands}  # fmt: skip
    assert commands == set(re.findall(r"^\| `induce gnn (\w+)", PAGE, re.MULTILINE))
