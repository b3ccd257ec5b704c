"""The first code in a container, here without one: the server comes through standard input."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sandboxes.container import fleet
from sandboxes.guest import wire


def start(greeting: bytes, *more: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", fleet.LOADER]
    data = b"".join((greeting, *more))
    return subprocess.run(
        command, input=data, capture_output=True, check=False, timeout=60, env=fleet.ENVIRONMENT
    )


def test_the_server_greets_and_answers_what_follows():
    done = start(fleet._greeting(True, ()), wire.frame(wire.PING), wire.frame(wire.PING))
    assert done.stderr == b""
    received = bytearray(done.stdout)
    assert [wire.take(received)[0] for _ in range(3)] == [wire.HELLO, wire.PONG, wire.PONG]
    assert not received


def test_packages_are_found_on_the_interpreter_s_path():
    done = start(fleet._greeting(True, ("numpy", "nothing_of_the_kind")))
    _, payload = wire.take(bytearray(done.stdout))
    assert b'"numpy"' in payload
    assert b"nothing_of_the_kind" not in payload


def test_an_old_interpreter_is_told(monkeypatch):
    greeting = fleet._greeting(True, ()).replace(b"sys.version_info < (3, 11)", b"sys.version_info < (9, 11)")
    done = start(greeting)
    assert done.stderr.endswith(b"must be 3.11 or newer\n")
    assert done.stdout == b""


@pytest.mark.parametrize("length", [0, 3, 100, -1])
def test_a_host_that_goes_away_is_the_end(length):
    done = start(fleet._greeting(True, ())[:length])
    assert done.returncode == 1
    assert b"the host is gone" in done.stderr
