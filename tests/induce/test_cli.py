"""The command line, from tasks to a score."""

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import induce
from hypotheses.run_log import RunLog
from induce.runs import resume_run
from induce.settings import SandboxSettings


def test_solve_score_and_show(induce_command, small_tasks, tmp_path):
    run = tmp_path / "run.sqlite"
    solved = induce_command("solve", small_tasks, "--json", "--out", run)
    assert solved.code == 0
    assert solved.err.strip() == f"3 of 3 tasks solved; run: {run}"
    for record in solved.records:
        wanted = {"task_id", "solved", "program", "hypothesis", "predictions", "usage"}
        assert wanted <= set(record)
        assert record["solved"] is True
    assert [record["predictions"] for record in solved.records] == [
        [[[20, 30, 10]]],
        [[60]],
        [[[10, 20, 30]]],
    ]

    score = induce_command("score", run, "--json")
    [record] = score.records
    assert (record["accuracy"], record["task_accuracy"], record["tasks"], record["queries"]) == (
        1.0,
        1.0,
        3,
        3,
    )
    assert "1.0000" in induce_command("score", run, "--oracle").out

    assert len(induce_command("runs", "show", run, "--json").records) == 3
    shown = induce_command("runs", "show", run, "total").out
    assert "sum(x)" in shown
    assert "60" in shown
    [only] = induce_command("runs", "show", run, "reverse", "--json").records
    assert only["task_id"] == "reverse"
    missing = induce_command("runs", "show", run, "nothing")
    assert missing.code == 1
    assert "has no solution for nothing" in missing.err


def test_a_run_without_a_name_goes_to_the_runs_folder(induce_command, small_tasks):
    assert "no runs in" in induce_command("runs", "list").out
    assert induce_command("solve", small_tasks).code == 0
    [record] = induce_command("runs", "list", "--json").records
    assert (record["tasks"], record["done"], record["solved"]) == (3, 3, 3)
    name = Path(record["run"]).stem
    assert name in induce_command("runs", "list").out
    assert induce_command("score", name, "--json").records[0]["accuracy"] == 1.0
    assert induce_command("runs", "gc").out.strip() == "0 bytes freed"
    os.utime(record["run"], (0, 0))
    assert "would delete" in induce_command("runs", "gc", "--dry-run").out
    [deleted] = induce_command("runs", "gc", "--json").records
    assert deleted == {"run": record["run"], "bytes": deleted["bytes"], "deleted": True}
    assert induce_command("runs", "list", "--json").records == []


def test_solutions_are_shown_in_full_or_in_a_line(induce_command, small_tasks):
    full = induce_command("solve", small_tasks).out
    assert "def f(x):" in full
    assert "3 of 3 examples right" in full
    brief = induce_command("solve", small_tasks, "--no-details").out
    assert "def f(x):" not in brief
    assert len(brief.strip().splitlines()) == 3


def test_resume_of_a_finished_run_does_nothing(induce_command, small_tasks, tmp_path):
    run = tmp_path / "run.sqlite"
    induce_command("solve", small_tasks, "--out", run)
    again = induce_command("resume", run, "--json")
    assert (again.code, again.out) == (0, "")
    assert "3 of 3 tasks solved" in again.err


def test_resume_says_where_the_log_allows_programs_more_than_the_user_does(
    induce_command, small_tasks, tmp_path, monkeypatch
):
    run = tmp_path / "run.sqlite"
    induce_command("solve", small_tasks, "--out", run)
    assert "programs may use" not in induce_command("resume", run).err
    monkeypatch.setenv("INDUCE_LIMITS__MEMORY_MB", "100")
    assert "programs may use 256 MiB (you: 100)" in induce_command("resume", run).err


def test_moved_tasks_can_be_named(induce_command, small_tasks, tmp_path):
    run = tmp_path / "run.sqlite"
    induce_command("solve", small_tasks, "--out", run)
    (tmp_path / "elsewhere").mkdir()
    moved = small_tasks.rename(tmp_path / "elsewhere" / small_tasks.name)
    refused = induce_command("runs", "show", run, "total")
    assert refused.code == 1
    assert "say where with --tasks" in refused.err
    assert "sum(x)" in induce_command("runs", "show", run, "total", "--tasks", moved).out
    assert induce_command("resume", run, "--tasks", moved).code == 0
    assert induce_command("score", run, "--tasks", moved).code == 0


def test_a_replay_can_be_resumed_from_another_folder(induce_command, tmp_path, monkeypatch):
    task = {"id": "same", "examples": [{"input": 1, "output": 1}]}
    answer = {"task": "same", "kind": "program", "program": "def f(x):\n    return x"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task))
    (tmp_path / "answers.jsonl").write_text(json.dumps(answer))
    monkeypatch.chdir(tmp_path)
    arguments = ["--proposer", "recorded:answers.jsonl", "--out", tmp_path / "run.sqlite"]
    assert induce_command("solve", "tasks.jsonl", *arguments).code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resumed = induce_command("resume", tmp_path / "run.sqlite")
    assert (resumed.code, "1 of 1 tasks solved" in resumed.err) == (0, True)


def test_what_is_piped_is_not_wrapped(induce_command, tmp_path, monkeypatch):
    long = "def f(x):\n    return [x[0], x[1]" + ", x[0] + x[1]" * 20 + "][:2]"
    task = {"id": "long", "examples": [{"input": [1, 2], "output": [1, 2]}]}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task))
    (tmp_path / "answers.jsonl").write_text(json.dumps({"task": "long", "kind": "program", "program": long}))
    monkeypatch.setenv("COLUMNS", "60")
    shown = induce_command(
        "solve", tmp_path / "tasks.jsonl", "--proposer", f"recorded:{tmp_path}/answers.jsonl"
    )
    assert f"    {long.splitlines()[1]}\n" in shown.out


def test_resume_refuses_changed_tasks(induce_command, small_tasks, tmp_path):
    run = tmp_path / "run.sqlite"
    induce_command("solve", small_tasks, "--out", run)
    small_tasks.write_text(small_tasks.read_text() + "\n")
    again = induce_command("resume", run)
    assert again.code == 1
    assert "content hash differs" in again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve", "missing.jsonl"], "missing.jsonl"),
        (["solve", "{tasks}", "--proposer", "oracle"], "there is no proposer 'oracle'"),
        (["solve", "{tasks}", "--proposer", "recorded:none"], "cannot read the transcript"),
        (["solve", "{tasks}", "--out", "/proc/run.sqlite"], "cannot start the run log /proc/run.sqlite"),
        (["solve", "{tasks}", "--out", "{tasks}"], "exists already"),
        (["score", "missing.sqlite"], "there is no run log missing.sqlite"),
        (["score", "{tasks}"], "no run log of induce"),
        (["resume", "missing.sqlite"], "there is no run log missing.sqlite"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(induce_command, small_tasks, arguments, message):
    before = small_tasks.read_bytes()
    result = induce_command(*[one.format(tasks=small_tasks) for one in arguments])
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert len(result.err.splitlines()) == 1
    assert message in result.err
    assert small_tasks.read_bytes() == before


def test_a_bad_task_stops_everything_unless_it_may_be_skipped(induce_command, small_tasks, tmp_path):
    small_tasks.write_text(small_tasks.read_text() + '{"id": "bad", "examples": []}\n')
    refused = induce_command("solve", small_tasks, "--json", "--out", tmp_path / "refused.sqlite")
    assert (refused.code, refused.out) == (1, "")
    assert f"{small_tasks}:4" in refused.err
    assert not (tmp_path / "refused.sqlite").exists()
    skipped = induce_command("solve", small_tasks, "--json", "--skip-bad", "--out", tmp_path / "run.sqlite")
    assert (skipped.code, len(skipped.records)) == (0, 3)
    assert skipped.err.count("skipped: ") == 1
    score = induce_command("score", tmp_path / "run.sqlite", "--json")
    assert (score.records[0]["tasks"], score.err.count("skipped: ")) == (3, 1)


def test_a_foreign_run_log_does_not_say_how_programs_are_contained(induce_command, small_tasks, tmp_path):
    run = tmp_path / "run.sqlite"
    induce_command("solve", small_tasks, "--out", run)
    resumed = resume_run(run, print)
    resumed.log.close()
    relaxed = resumed.settings.model_copy(update={"sandbox": SandboxSettings(relaxed=True, servers=500)})
    with RunLog.open(run) as log:
        info = log.info
    foreign = tmp_path / "foreign.sqlite"
    RunLog.create(foreign, replace(info, settings=relaxed.model_dump(mode="json"))).close()
    opened = resume_run(foreign, print)
    opened.log.close()
    assert opened.settings.sandbox == SandboxSettings()


def test_nothing_shown_can_command_the_terminal(induce_command, tmp_path):
    escape = "\x1b]0;owned\x07"
    task = {
        "id": f"t{escape}",
        "examples": [{"input": f"a{escape}", "output": "b"}],
        "queries": [{"input": "c"}],
    }
    program = f"def f(x):\n    return '{escape}b'[-1]  # {escape}"
    line = {"task": f"t{escape}", "kind": "program", "response": f"{escape} rule\n```\n{program}\n```"}
    (tmp_path / "tasks.jsonl").write_text(json.dumps(task))
    (tmp_path / "answers.jsonl").write_text(json.dumps(line))
    run = tmp_path / "run.sqlite"
    commands = [
        ["tasks", "show", tmp_path / "tasks.jsonl"],
        ["solve", tmp_path / "tasks.jsonl", "--proposer", f"recorded:{tmp_path}/answers.jsonl", "--out", run],
        ["runs", "show", run],
        ["runs", "show", run, f"t{escape}"],
        ["solve", tmp_path / f"missing{escape}.jsonl"],
        ["solve", tmp_path / "tasks.jsonl", "--proposer", escape],
    ]
    for command in commands:
        result = induce_command(*command)
        assert result.out + result.err
        assert "\x1b" not in result.out + result.err


def test_wrong_usage_is_exit_code_2(induce_command):
    assert induce_command("solve").code == 2
    assert induce_command("solve", "x", "--no-such-option").code == 2
    for option, value in (("--seconds", "0"), ("--attempts", "0"), ("--select", "best"), ("--shots", "0")):
        refused = induce_command("solve", "x", option, value)
        assert (refused.code, refused.out) == (2, "")
        assert option in refused.err


def test_doctor_and_settings(induce_command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checks = {record["name"]: record for record in induce_command("doctor", "--json").records}
    assert checks["sandbox"]["works"]
    assert checks["python"]["works"]
    assert "runs programs, contained" in induce_command("doctor").out
    [values] = induce_command("settings", "show", "--json").records
    assert values["search"]["seconds"] == 10.0
    assert "INDUCE_SEARCH__SECONDS" in induce_command("settings", "show").out
    assert "induce.toml" in induce_command("settings", "path").out


def test_a_broken_setting_is_found_by_doctor(induce_command, monkeypatch):
    monkeypatch.setenv("INDUCE_SEARCH__SECONDS", "never")
    result = induce_command("doctor")
    assert result.code == 1
    assert "search.seconds" in result.out


def test_every_command_has_help_with_an_example(induce_command):
    commands = re.findall(r"│ (\w+) +\w", induce_command("--help").out.split("Commands")[1])
    assert {"solve", "resume", "score", "tasks", "runs", "settings", "doctor"} <= set(commands)
    for command in ("solve", "resume", "score", "doctor"):
        assert f"induce {command}" in induce_command(command, "--help").out
    assert induce_command("--version").out.strip() == f"induce {induce.__version__}"


def in_a_terminal(arguments, environment):
    """Run a command on a pseudo-terminal and give all it wrote there."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "induce", *map(str, arguments)],
        stdout=terminal,
        stderr=terminal,
        stdin=terminal,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"} | environment,
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        written += part
    os.close(controller)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_gets_colour_and_a_progress_bar(small_tasks):
    shown = in_a_terminal(["solve", small_tasks], {})
    assert "\x1b[32m" in shown or "\x1b[1;32m" in shown
    assert "solving" in shown
    assert "left" in shown


def test_no_color_is_minded(small_tasks):
    shown = in_a_terminal(["solve", small_tasks], {"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[(\d+;)*3[0-9]", shown)
    assert "sorted(x)" in shown


def test_json_on_a_terminal_is_json_only(small_tasks):
    lines = in_a_terminal(["solve", small_tasks, "--json"], {}).splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    assert len(records) == 3
    assert len(lines) == 4
