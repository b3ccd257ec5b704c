"""``induce sandbox check``: what it prints, and that it notices a sandbox which does not hold."""

from __future__ import annotations

import json

import pytest

from induce.cli.sandbox_check import CONTAINER_LAYERS, layers_around, layers_of, report
from sandboxes import EmbeddedSandbox, Execution, SettingsError
from sandboxes.conformance import suite
from sandboxes.connection import Hello

HELD = Hello(2, "3.13.0", {}, None, landlock_abi=6, drops_privileges=True)


class Credulous:
    """The embedded sandbox, which answers refused attempts with a value, as if they had succeeded."""

    concurrency = 1

    def __init__(self, inner) -> None:
        self._inner = inner
        self.environment = inner.environment

    def run(self, program, inputs, limits, cancellation=None) -> list[Execution]:
        executions = self._inner.run(program, inputs, limits)
        return [Execution("ok", "a file") if one.status == "raised" else one for one in executions]


@pytest.fixture(scope="module")
def sandbox():
    with EmbeddedSandbox(servers=1) as sandbox:
        yield sandbox


def test_it_prints_a_table_of_what_held_and_what_holds_it(sandbox, capsys):
    assert not report(sandbox, layers_of(HELD), groups=["network", "protocol"])
    header, network, protocol, summary = capsys.readouterr().out.splitlines()
    assert header.split() == ["group", "passed", "enforced", "by"]
    count = sum(case.group == "network" for case in suite())
    assert network.split() == ["network", f"{count}/{count}", "seccomp,", "Landlock", "ABI", "6"]
    assert protocol.endswith("strict frames")
    assert "cases passed in" in summary


def test_it_lists_what_failed(sandbox, capsys):
    assert report(Credulous(sandbox), layers_of(HELD), groups=["network"])
    out = capsys.readouterr().out
    assert "failed: network: listen: input 2 of 3: ok with the value 'a file' where raised is right" in out


def test_json_is_one_object_a_case(sandbox, capsys):
    report(sandbox, [], groups=["system calls"], json=True)
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == sum(case.group == "system calls" for case in suite())
    assert all(record["passed"] and record["problem"] is None for record in records)


def test_an_unknown_group_is_refused(sandbox):
    with pytest.raises(SettingsError, match=r"no group filse; there are .*files"):
        report(sandbox, [], groups=["filse"])


def test_a_machine_without_filters_claims_none():
    layers = layers_of(Hello(2, "3.13.0", {}, "no seccomp filter for the architecture vax", 0, False))
    assert [layer for layer in layers if layer.name == "seccomp" and layer.holds] == []
    assert any(layer.detail == "no seccomp filter for the architecture vax" for layer in layers)


def test_the_layers_are_those_of_the_sandbox_itself(sandbox):
    layers = layers_around(sandbox)
    assert {"seccomp", "rlimits"} <= {layer.name for layer in layers if layer.holds}
    assert layers_around(Credulous(sandbox)) == []


def test_layers_cover_groups_that_there_are():
    groups = {case.group for case in suite()}
    for layer in [*layers_of(HELD), *CONTAINER_LAYERS]:
        assert set(layer.covers) <= groups
