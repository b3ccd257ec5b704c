"""Run the whole suite on the embedded sandbox: ``python -m sandboxes.conformance [--json]``.

Exit code 0 where every case passed, 1 where one failed or the sandbox runs no programs here.
"""

from __future__ import annotations

import argparse
import json
import sys

from sandboxes.conformance import run_cases, suite
from sandboxes.conformance.case import CaseResult
from sandboxes.embedded import EmbeddedSandbox
from sandboxes.errors import SandboxError


def main() -> int:
    """Run the suite, printing a line for each case, and give the exit code."""
    options = argparse.ArgumentParser(prog="python -m sandboxes.conformance")
    options.add_argument("--json", action="store_true", help="print one JSON object a line")
    as_json: bool = options.parse_args().json
    failed = False
    try:
        with EmbeddedSandbox(servers=1) as sandbox:
            for result in run_cases(sandbox, suite()):
                failed |= result.problem is not None
                print(_line(result, as_json), flush=True)
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return int(failed)


def _line(result: CaseResult, as_json: bool) -> str:
    group, name = result.case.group, result.case.name
    if not as_json:
        outcome = result.problem or (f"skipped: {result.skipped}" if result.skipped else "ok")
        return f"{group}: {name}: {outcome}"
    record = {"group": group, "name": name, "passed": result.passed, "problem": result.problem}
    return json.dumps(record | {"skipped": result.skipped, "seconds": round(result.seconds, 4)})


if __name__ == "__main__":
    sys.exit(main())
