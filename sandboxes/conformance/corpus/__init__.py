"""Programs that mean harm, or do it, by what they attack.

Where nothing contains them they do no lasting harm, but for those that are marked as destructive.
"""

from sandboxes.conformance.case import Case
from sandboxes.conformance.corpus import (
    crashes,
    files,
    interpreter,
    memory,
    network,
    processes,
    protocol,
    results,
    system_calls,
    times,
)

__all__ = ["hostile_cases"]


def hostile_cases() -> list[Case]:
    """Give the whole corpus."""
    return [
        *files.CASES,
        *network.CASES,
        *processes.CASES,
        *system_calls.CASES,
        *memory.CASES,
        *times.CASES,
        *crashes.CASES,
        *results.CASES,
        *protocol.CASES,
        *interpreter.CASES,
    ]
