"""What every sandbox must do and withstand, as data that runs on any back end.

>>> from sandboxes import EmbeddedSandbox
>>> from sandboxes.conformance import run_cases, suite
>>> with EmbeddedSandbox(servers=1) as sandbox:
...     failed = [result for result in run_cases(sandbox, suite()) if result.problem]
>>> failed
[]

::

    case        a program, its inputs, and what must become of them
    behaviour   what programs that mean no harm can rely on
    checks      what takes more than one program to see
    corpus      programs that mean harm, by what they attack
    run         runs cases on a sandbox

``python -m sandboxes.conformance`` runs it all on the embedded sandbox of this machine.
"""

from sandboxes.conformance.behaviour import behaviour_cases
from sandboxes.conformance.case import ANYTHING, Case, CaseResult, Check, Outcome
from sandboxes.conformance.checks import CHECKS
from sandboxes.conformance.corpus import hostile_cases
from sandboxes.conformance.run import can_import, run_cases

__all__ = [
    "ANYTHING",
    "CHECKS",
    "Case",
    "CaseResult",
    "Check",
    "Outcome",
    "behaviour_cases",
    "can_import",
    "hostile_cases",
    "run_cases",
    "suite",
]


def suite() -> list[Case | Check]:
    """Give everything: how programs behave, and what those that mean harm achieve."""
    return [*behaviour_cases(), *CHECKS, *hostile_cases()]
