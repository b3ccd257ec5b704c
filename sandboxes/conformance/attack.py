"""A program that means harm, as a case: what it tries, amid inputs on which it tries nothing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from sandboxes.conformance.case import ANYTHING, Case, Outcome
from sandboxes.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxes.execution import Status

BRIEF = Limits(seconds=0.1, memory_mb=64, output_bytes=10_000)
"""For programs that only a timeout ends."""

PATIENT = Limits(seconds=5, memory_mb=64, output_bytes=10_000)
"""For all others, so that a busy machine is not mistaken for a timeout."""

SURVIVED: tuple[Status, ...] = ("ok", "raised", "bad_output", "killed")
"""What can become of a program that breaks its own interpreter. Which it is depends on what the version of
Python happens to look at next; that it neither hangs nor harms another is what counts."""

PRELUDE = """
import ctypes, gc, os, random, signal, struct, sys, time, types
libc = ctypes.CDLL(None, use_errno=True)
def tell(kind, payload):
    "Write a frame to whatever descriptor there is."
    for d in range(3, 16):
        try: os.write(d, struct.pack('!cI', kind, len(payload)) + payload)
        except OSError: pass
def forge(value, output=b'', head=b'{"status":"ok","error":null,"seconds":0}', kind=b'R'):
    tell(kind, head + b'\\n' + value + b'\\n' + output)
def done(*attempts):
    "Which of the attempts, by their numbers, were not refused."
    succeeded = []
    for number, attempt in enumerate(attempts):
        try: attempt()
        except Exception: continue
        succeeded.append(number)
    return succeeded
def frames():
    "All frames around this one, the sandbox's own included."
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
def descendants(kind=object, seen=None):
    "All classes that there are."
    seen = set() if seen is None else seen
    for one in type.__subclasses__(kind):
        if one not in seen:
            seen.add(one)
            yield one
            yield from descendants(one, seen)
"""
"""What attacks share; it does nothing of itself."""


def attack(
    group: str,
    name: str,
    body: str,
    *statuses: Status,
    value: Any = ANYTHING,
    error: str | None = None,
    limits: Limits | None = None,
    spoils: bool = False,
    destructive: bool = False,
    needs: tuple[str, ...] = (),
) -> Case:
    """Give the case of a program whose function has ``body`` for the second of three inputs.

    On the others it gives 0, which must arrive: after a death by a fresh process, and else by the same one,
    unless the program ``spoils`` that for itself.
    """
    around = Outcome(("ok",), 0)
    last = Outcome((*SURVIVED, "timed_out", "out_of_memory")) if spoils else around
    return Case(
        name,
        group,
        f"{PRELUDE}\ndef f(x):\n    if x == 0: return 0\n{textwrap.indent(textwrap.dedent(body), '    ')}",
        (0, 1, 0),
        (around, Outcome(statuses, value, error), last),
        limits=limits or (BRIEF if statuses == ("timed_out",) else PATIENT),
        hostile=True,
        destructive=destructive,
        needs=needs,
    )


def attacks(group: str, status: Status, bodies: Mapping[str, str], **more: Any) -> list[Case]:
    """Give the cases of programs that all come to the same end."""
    return [attack(group, name, body, status, **more) for name, body in bodies.items()]


def module(
    group: str, name: str, source: str, *statuses: Status, value: Any = ANYTHING, limits: Limits | None = None
) -> Case:
    """Give the case of a whole module that attacks as it is loaded, with the same end for two inputs."""
    chosen = limits or (BRIEF if statuses == ("timed_out",) else PATIENT)
    outcome = Outcome(statuses, value)
    return Case(name, group, source, (0, 1), (outcome, outcome), limits=chosen, hostile=True)


def fruitless(group: str, name: str, body: str, **more: Any) -> Case:
    """Give the case of a program that returns a list of what it achieved, which must be empty."""
    return attack(group, name, body, "ok", value=[], **more)
