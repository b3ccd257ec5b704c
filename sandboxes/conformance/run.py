"""Runs cases on a sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from sandboxes.conformance.case import QUICK, Case, CaseResult, Check
from sandboxes.errors import SandboxError
from sandboxes.program import Program
from sandboxes.sandbox import Sandbox


def run_cases(sandbox: Sandbox, cases: Iterable[Case | Check]) -> Iterator[CaseResult]:
    """Run cases one after the other, and yield how each went.

    Those that need a package which programs cannot import there are skipped. A sandbox that breaks in the
    course of a case has failed it; raises ``SandboxError`` only where no program runs at all.
    """
    there: dict[str, bool] = {}
    can_import(sandbox, "sys")
    for case in cases:
        for package in case.needs:
            if package not in there:
                there[package] = can_import(sandbox, package)
        missing = [package for package in case.needs if not there[package]]
        if missing:
            yield CaseResult(case, skipped=f"programs cannot import {', '.join(missing)}")
            continue
        started = time.monotonic()
        try:
            problem = case.run(sandbox)
        except SandboxError as error:
            problem = f"the sandbox broke: {error}"
        yield CaseResult(case, problem, seconds=time.monotonic() - started)


def can_import(sandbox: Sandbox, package: str) -> bool:
    """Whether programs can import a package. Raises ``SandboxError``."""
    program = Program(f"import {package}\ndef f(x): return x", "f")
    return sandbox.run(program, [0], QUICK)[0].ok
