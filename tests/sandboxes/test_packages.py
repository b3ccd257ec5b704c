"""Packages beyond the standard library: which a program gets, however it names them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest

from sandboxes import EmbeddedSandbox, Limits, Program, Sandbox, SandboxError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded sandbox needs Linux")

LIMITS = Limits(seconds=2, memory_mb=512)
HIDDEN = "'num' + 'py'"  # no reader of the source finds out that this is imported


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with EmbeddedSandbox(servers=1) as sandbox:
        yield sandbox


def only(sandbox: Sandbox, source: str, *inputs: object, packages: frozenset[str] | None = None):
    [execution] = sandbox.run(Program(source, "f", packages=packages), inputs or [1], LIMITS)
    return execution


def test_a_program_that_mentions_none_runs_without(sandbox):
    assert (
        only(
            sandbox, "import sys\ndef f(x): return sorted({'num' + 'py', 'sci' + 'py'} & {*sys.modules})"
        ).value
        == []
    )


@pytest.mark.parametrize("package", ["numpy", "scipy"])
def test_a_program_that_imports_one_gets_it(sandbox, package):
    pytest.importorskip(package)
    execution = only(sandbox, f"import {package}\ndef f(x): return {package}.__version__")
    assert execution.value == sandbox.environment.packages[package]


def test_submodules_are_there(sandbox):
    pytest.importorskip("scipy")
    source = "from scipy import ndimage\ndef f(x): return ndimage.label([[1, 0, 1]])[1]"
    assert only(sandbox, source).value == 2


@pytest.mark.parametrize(
    "at",
    [
        "import importlib\nnp = importlib.import_module({})\ndef f(x): return x + len(np.ones(3))",
        "def f(x):\n    np = __import__({})\n    return x + len(np.ones(3))",
    ],
)
def test_one_that_is_imported_by_surprise_is_found_all_the_same(sandbox, at):
    assert only(sandbox, at.format(HIDDEN)).value == 4


def test_a_surprise_starts_the_inputs_afresh(sandbox):
    """What the program kept from earlier inputs is as if the package had been there from the beginning."""
    source = (
        "kept = []\n"
        f"def f(x):\n    kept.append(x)\n    if x == 3: __import__({HIDDEN})\n    return list(kept)"
    )
    executions = sandbox.run(Program(source, "f"), [1, 2, 3, 4], LIMITS)
    assert [execution.value for execution in executions] == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]


def test_a_surprise_cannot_be_caught(sandbox):
    source = (
        f"def f(x):\n    try: return __import__({HIDDEN}).__name__\n    except BaseException: return 'caught'"
    )
    assert only(sandbox, source).value == "numpy"


def test_a_program_gets_what_it_is_allowed(sandbox):
    for source in ("import numpy\ndef f(x): return 1", f"def f(x): return __import__({HIDDEN})"):
        execution = only(sandbox, source, packages=frozenset())
        assert execution.status == "raised"
        assert execution.error.startswith("ModuleNotFoundError: No module named 'numpy' in the sandbox")


def test_what_may_be_imported_is_part_of_a_programs_key():
    keys = {Program("", "f", packages=names).key for names in (None, frozenset(), frozenset({"numpy"}))}
    assert len(keys) == 3


@pytest.mark.parametrize("wish", ["b'abc'", "b'num' + b'py'", "b'\\xff'"])
def test_a_forged_wish_is_a_forged_message(sandbox, wish):
    """One that could be granted is, and the program starts again; but then it wishes for what it has."""
    source = (
        "import os, struct\n"
        "def f(x):\n"
        "    for d in range(3, 16):\n"
        f"        try: os.write(d, struct.pack('!cI', b'W', len({wish})) + {wish})\n"
        "        except OSError: pass\n"
        "    return x"
    )
    assert only(sandbox, source).status == "killed"


def test_arrays_bring_their_package_along(sandbox):
    np = pytest.importorskip("numpy")
    assert only(sandbox, "def f(x): return int(x.sum())", np.arange(4)).value == 6


def test_another_interpreter_has_its_own(sandbox):
    with EmbeddedSandbox(servers=1, python=sys.executable) as other:
        assert other.environment == sandbox.environment


def test_a_package_nobody_offers_is_not_there():
    with EmbeddedSandbox(servers=1, packages=()) as sandbox:
        assert sandbox.environment.packages == {}
        assert only(sandbox, "import numpy\ndef f(x): return 1").status == "raised"


def test_an_interpreter_that_is_none(tmp_path):
    with (
        EmbeddedSandbox(servers=1, python=tmp_path) as sandbox,
        pytest.raises(SandboxError, match="no Python of"),
    ):
        sandbox.run(Program("def f(x): return x", "f"), [1], LIMITS)


def test_servers_with_many_sets_of_packages_stay_few(tmp_path):
    """Each set is a process of its own; those that are used least are dropped, and come back when needed."""
    names = [f"shelf{number}" for number in range(6)]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"NAME = {name!r}\n")
    (tmp_path / "python").write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    with EmbeddedSandbox(servers=1, python=tmp_path / "python", packages=names) as sandbox:
        before = set(psutil.Process().children())
        for name in [*names, *names, names[-1]]:
            assert only(sandbox, f"import {name}\ndef f(x): return {name}.NAME").value == name
        [server] = set(psutil.Process().children()) - before
        assert len(server.children()) <= 4


def test_a_long_program_finds_room_beside_all_packages(sandbox):
    """A server with a copy for each set of packages has many descriptors open."""
    pytest.importorskip("scipy")
    before = set(psutil.Process().children())
    with EmbeddedSandbox(servers=1) as own:
        for module in ("decimal", "numpy", "scipy"):
            assert only(own, f"import {module}\ndef f(x): return 1").value == 1
        assert only(own, "import numpy, scipy\ndef f(x): return 1").value == 1
        [server] = set(psutil.Process().children()) - before
        assert only(own, "def f(x): return len(x)", "x" * 100_000).value == 100_000
        assert set(psutil.Process().children()) - before == {server}
