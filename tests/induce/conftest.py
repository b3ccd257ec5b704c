"""What the tests of the face share."""

import json
import sys
from dataclasses import dataclass

import pytest

from induce.cli import main


@dataclass
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def records(self):
        """The JSON lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def induce_command(monkeypatch, capsys):
    """Run the command line in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["induce", *map(str, arguments)])
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def small_tasks(tmp_path):
    """A file of three small tasks with answers."""
    path = tmp_path / "small.jsonl"
    rules = {"reverse": lambda x: x[::-1], "total": sum, "sorted": sorted}
    with path.open("w") as file:
        for name, rule in rules.items():
            inputs = [[3, 1, 2], [9, 4], [7, 5, 8, 6], [10, 30, 20]]
            pairs = [{"input": x, "output": rule(x)} for x in inputs]
            file.write(json.dumps({"id": name, "examples": pairs[:3], "queries": pairs[3:]}) + "\n")
    return path
