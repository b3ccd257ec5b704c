"""``induce tasks list``, ``show`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from induce.cli.tasks import app
from induce.tasks import load_tasks
from induce.tasks.own import own_schema
from sandboxes import TaskFormatError

DATA = Path(__file__).parents[1] / "data"


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, [str(argument) for argument in arguments])


def test_list_aligns_a_line_a_task():
    result = run("list", DATA / "own.jsonl")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert rows[2].endswith("midpoint(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]")
    assert header.split() == ["id", "family", "examples", "queries", "signature"]
    assert [row.split()[:4] for row in rows] == [
        ["double", "own", "2", "2"],
        ["join", "names", "1", "1"],
        ["midpoint", "own", "1", "0"],
    ]
    assert {row.index("f(") if "f(" in row else row.index("midpoint(") for row in rows} == {
        header.index("signature")
    }


def test_list_as_json_prints_nothing_else():
    result = run("list", DATA / "own.jsonl", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert records[0] == {
        "id": "double", "family": "own", "examples": 2, "queries": 2, "signature": "f(x: int) -> int",
    }  # fmt: skip
    assert len(records) == 3


def test_list_raises_at_a_bad_task_and_reports_it_with_skip_bad(tmp_path: Path):
    path = tmp_path / "t.jsonl"
    path.write_text((DATA / "own.jsonl").read_text() + "nonsense\n")
    stopped = run("list", path, "--json")
    assert isinstance(stopped.exception, TaskFormatError)
    assert len(stopped.stdout.splitlines()) == 3, "what came before was printed as it was read"
    passed = run("list", path, "--json", "--skip-bad")
    assert passed.exit_code == 0
    assert len(passed.stdout.splitlines()) == 3
    assert passed.stderr.splitlines() == [
        f"skipped: {path}:5: not JSON: Expecting value (column 1); each line holds one whole task"
    ]


def test_the_options_reach_the_reader():
    assert (
        json.loads(run("list", DATA / "mir.jsonl", "--shots", "4", "--json").stdout.splitlines()[0])[
            "examples"
        ]
        == 4
    )
    by_year = run("list", DATA / "people.csv", "--output-column", "Born", "--format", "spreadsheet", "--json")
    assert json.loads(by_year.stdout)["signature"] == "f(name: str, phone: str, login: str) -> int"


def test_show_keeps_answers_back_unless_asked():
    shown = run("show", DATA / "own.jsonl", "double").stdout
    assert "query 1 5 → ?" in shown
    assert "10" not in shown
    assert "query 1 5 → 10" in run("show", DATA / "own.jsonl", "double", "--answers").stdout


def test_show_draws_grids_in_digits_where_there_is_no_terminal():
    shown = run("show", DATA / "grids" / "mirror.json").stdout
    assert "\x1b" not in shown
    assert "  0 9 8   →  8 9 0" in shown


def test_show_only_what_is_named_or_the_first_few():
    both = run("show", DATA / "qiu.jsonl", "2", "0", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in both] == ["0", "2"]
    assert len(run("show", DATA / "qiu.jsonl", "--limit", "2", "--json").stdout.splitlines()) == 2
    unknown = run("show", DATA / "qiu.jsonl", "0", "17", "x")
    assert str(unknown.exception) == (
        f"{DATA / 'qiu.jsonl'}: there is no task 17, x; `induce tasks list` shows the ids"
    )


@pytest.mark.parametrize(
    "source", ["qiu.jsonl", "mir.jsonl", "graph.jsonl", "own.jsonl", "grids", "people.csv", "prose"]
)
def test_show_as_json_is_the_own_format(tmp_path: Path, source: str):
    path = tmp_path / "own.jsonl"
    path.write_text(run("show", DATA / source, "--json", "--answers").stdout)
    again = list(load_tasks(path).labelled())
    assert again == list(load_tasks(DATA / source).labelled())
    path.write_text(run("show", DATA / source, "--json").stdout)
    assert [dict(found.answers) for found in load_tasks(path).labelled()] == [{}] * len(again)


def test_schema():
    assert json.loads(run("schema").stdout) == own_schema()


def test_without_arguments_there_is_help():
    result = run()
    assert "Look at tasks" in result.output
    assert "schema" in result.output
