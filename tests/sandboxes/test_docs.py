"""The examples in docs/sandboxes.md work as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandboxes import EmbeddedSandbox
from sandboxes.conformance import behaviour_cases, hostile_cases, suite

TEXT = (Path(__file__).parents[2] / "docs" / "sandboxes.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_first_example():
    body, _, last = EXAMPLES[0].rstrip().rpartition("\n")
    namespace: dict[str, object] = {}
    exec(body, namespace)
    expression, _, comment = last.partition("#")
    assert eval(expression, namespace) == eval(comment)


def test_the_last_example(monkeypatch):
    few = [*behaviour_cases()[:3], *hostile_cases()[:1]]
    monkeypatch.setattr("sandboxes.conformance.suite", lambda: few)
    with EmbeddedSandbox(servers=1) as sandbox:
        namespace = {"my_sandbox": sandbox}
        exec(EXAMPLES[-1], namespace)
    assert namespace["failed"] == []


@pytest.mark.parametrize(
    ("count", "what"), [(len(suite()), "cases"), (len(hostile_cases()), "programs that mean harm")]
)
def test_numbers_of_cases(count, what):
    assert f"{count} {what}" in " ".join(TEXT.split()).replace(f"{count} of {count}", str(count))
