"""The suite can fail: what usually passes for a sandbox, a subprocess with a timeout, fails much of it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandboxes import EmbeddedSandbox, Execution, Limits
from sandboxes.arguments import encode_inputs
from sandboxes.conformance import ANYTHING, Case, CaseResult, Outcome, hostile_cases, run_cases
from sandboxes.values import NotDataError, loads

MEMORY = 400 * 1024 * 1024
PROCESSES = 200

HARNESS = """
import json, sys
namespace = {'__name__': 'program'}
exec(compile(open('program.py').read(), 'program.py', 'exec'), namespace)
print(json.dumps(namespace[sys.argv[1]](json.loads(sys.argv[2]))))
"""


class SubprocessSandbox:
    """Runs a program in a new interpreter, with a timeout, and takes the last line it prints for its value.

    Not a sandbox. The limits keep a fork bomb from the machine, not the program from its files.
    """

    concurrency = 2

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, program, inputs, limits) -> list[Execution]:
        (self._folder / "program.py").write_text(program.source, errors="surrogatepass")
        return [self._run(program, text, limits) for text in encode_inputs(program.call, inputs)]

    def _run(self, program, text: str, limits: Limits) -> Execution:
        command = [sys.executable, "-c", HARNESS, program.entry_point, text]
        with subprocess.Popen(
            command,
            cwd=self._folder,
            env={"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=keep_from_the_machine,  # noqa: PLW1509 - no thread of this process holds a lock
        ) as process:
            try:
                stdout, stderr = process.communicate(timeout=1 + limits.seconds)
            except subprocess.TimeoutExpired:
                return Execution("timed_out", error="timed out")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        errors = stderr.decode(errors="replace").splitlines()
        if process.returncode < 0:
            return Execution("killed", error=f"signal {-process.returncode}")
        if process.returncode != 0:
            error = errors[-1] if errors else f"exit {process.returncode}"
            return Execution("out_of_memory" if "MemoryError" in error else "raised", error=error)
        try:
            return Execution("ok", loads(stdout.splitlines()[-1] if stdout else b""))
        except NotDataError as error:
            return Execution("bad_output", error=str(error))

    def close(self) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *exc_info: object) -> None: ...


def keep_from_the_machine() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, 3),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_NOFILE, 200),
        (resource.RLIMIT_NPROC, PROCESSES),  # does not bind root, for whom destructive cases are left out
    ):
        resource.setrlimit(kind, (most, most))


NOT_FOR_IT = {
    "memory": "the limits that keep the machine from it would answer in its place",
    "protocol": "these forge frames of a protocol that it does not speak",
    "time": "a timeout is the one thing it has, and each takes a second",
    "crashes": "a crash is its own process's",
}
"""Groups that would say nothing of it."""


def test_a_subprocess_with_a_timeout_fails_half_of_the_corpus(tmp_path, capsys):
    cases = [case for case in hostile_cases() if not case.destructive and case.group not in NOT_FOR_IT]
    cases = [case for case in cases if case.limits.seconds > 1]
    assert len(cases) > 100

    def judge(number_and_case: tuple[int, Case]) -> CaseResult:
        number, case = number_and_case
        folder = tmp_path / str(number)
        folder.mkdir()
        problem = case.run(SubprocessSandbox(folder))
        return CaseResult(case, problem)

    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(judge, enumerate(cases)))
    failed = Counter(result.case.group for result in results if result.problem is not None)
    total = Counter(result.case.group for result in results)
    with capsys.disabled():
        print(f"\na plain subprocess fails {failed.total()} of {total.total()} hostile cases:", end=" ")
        print(", ".join(f"{group} {failed[group]}/{total[group]}" for group in total))
    assert failed.total() >= len(cases) / 2


class Deceived:
    """A sandbox whose results are altered on their way, one fault at a time."""

    def __init__(self, inner, alter) -> None:
        self._inner = inner
        self._alter = alter
        self.concurrency = inner.concurrency

    def run(self, program, inputs, limits) -> list[Execution]:
        return self._alter(self._inner.run(program, inputs, limits))


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedSandbox]:
    with EmbeddedSandbox(servers=1) as sandbox:
        yield sandbox


PLAIN = Case("plain", "values", "def f(x): return x", (1, 2), (Outcome(("ok",), 1), Outcome(("ok",), 2)))


@pytest.mark.parametrize(
    ("alter", "problem"),
    [
        (lambda results: results[:-1], "1 results for 2 inputs"),
        (lambda results: results + results, "4 results for 2 inputs"),
        (lambda results: results[::-1], "input 1 of 2: the value 2 where 1 is right"),
        (lambda results: [Execution("ok", True) for _ in results], "the value True where 1 is right"),
        (lambda results: [Execution("ok", 1.0) for _ in results], "the value 1.0 where 1 is right"),
        (lambda results: [Execution("ok", object()) for _ in results], "the value <object"),
        (
            lambda results: [Execution("timed_out", error="slow") for _ in results],
            "timed_out (slow) where ok",
        ),
        (lambda results: [Execution("ok", 1, error="odd") for _ in results], "exclude each other"),
        (lambda results: [Execution("ok", 1, seconds=-1.0) for _ in results], "-1.0 seconds"),
    ],
)
def test_a_wrong_result_is_noticed(embedded, alter, problem):
    assert PLAIN.run(embedded) is None
    assert problem in PLAIN.run(Deceived(embedded, alter))


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Outcome(("raised",), error="TypeError"), "where 'TypeError' is part of the right one"),
        (Outcome(("killed", "ok")), "raised (ValueError: no"),
        (Outcome(("raised",), ANYTHING, stdout="x"), "the output '' where 'x' is right"),
    ],
)
def test_a_wrong_error_or_output_is_noticed(embedded, outcome, problem):
    case = Case("raises", "statuses", "def f(x): raise ValueError('no')", (1,), (outcome,))
    assert problem in case.run(embedded)


def test_a_package_that_is_not_there_skips_its_cases(embedded):
    case = Case("plain", "values", "def f(x): return x", (), (), needs=("no_such_package",))
    [result] = run_cases(embedded, [case])
    assert not result.passed
    assert result.problem is None
    assert result.skipped == "programs cannot import no_such_package"


def test_a_sandbox_that_breaks_has_failed_the_case(embedded):
    broken = Case(
        "two processes", "values", "def f(x): return x", (1,), (Outcome(("ok",), 1),), Limits(processes=2)
    )
    failed, passed = run_cases(embedded, [broken, PLAIN])
    assert "the sandbox broke: " in failed.problem
    assert passed.passed
