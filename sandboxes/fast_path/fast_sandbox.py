"""Any sandbox, with a fast path before it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sandboxes.arguments import encode_inputs, refuse_processes
from sandboxes.cancellation import Cancellation, RunCancelledError
from sandboxes.connection import Connection, ServerDiedError
from sandboxes.errors import SandboxError
from sandboxes.execution import Execution
from sandboxes.fork_runner import ask_hello
from sandboxes.guest import wire
from sandboxes.guest.values import NotDataError, loads
from sandboxes.process_transport import ProcessTransport
from sandboxes.server_pool import ServerPool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxes.environment import Environment
    from sandboxes.limits import Limits
    from sandboxes.program import Program
    from sandboxes.sandbox import Sandbox

BUDGET_SECONDS = 0.05
"""What Monty may spend on a program, on all inputs together; whatever takes longer runs on the back end."""

LEAST_SECONDS, LEAST_MEMORY_MB = 0.2, 32
"""Limits below which a program always runs on the back end: what fits in Monty must fit there."""

SILENCE_SECONDS = 3.0
"""How long the helper process may be silent before it is replaced."""

LONGEST_BODY = 200_000
"""Bytes of program and inputs above which the back end runs them."""

_BOOT = "import sys; sys.path[:0] = sys.argv[1:]; from sandboxes.fast_path.monty_server import main; main([])"
_HOME = str(Path(__file__).resolve().parents[2])


class FastSandbox:
    """Runs simple programs in Monty, without a process for each, and all others on ``base``.

    A program's results do not depend on which of the two ran it, but for ``seconds``. Monty is taken at its
    word only for programs that are known to mean the same in it (``sandboxes.fast_path.allow_list``) and end
    well on every input; whatever raises, prints, takes long or is unknown runs on ``base``, whose verdict
    counts.

    Monty runs in processes of its own, ``servers`` of them, confined much as ``EmbeddedSandbox`` confines
    programs: see ``sandboxes.fast_path.cage``. Unlike there, programs share a process one after another, so
    that one that broke Monty itself could change what those after it give. Closing closes ``base``, too.

    Raises ``SandboxError`` where Monty is not installed or the system is not Linux.
    """

    def __init__(self, base: Sandbox, servers: int | None = None) -> None:
        if not sys.platform.startswith("linux"):
            raise SandboxError("the fast path needs Linux; use the sandbox without it")
        if importlib.util.find_spec("pydantic_monty") is None:
            raise SandboxError("the fast path needs Monty; pip install 'induce[monty]'")
        cores = len(os.sched_getaffinity(0))
        self._base = base
        self._pool = ServerPool(servers or min(cores, base.concurrency), _start)
        self._close = weakref.finalize(self, self._pool.close)
        self._lock = threading.Lock()
        self._same_python: bool | None = None
        self._hopeless = False
        self._counts = {"taken": 0, "passed_on": 0}

    @property
    def taken(self) -> int:
        """How many programs ran in Monty."""
        return self._counts["taken"]

    @property
    def passed_on(self) -> int:
        """How many programs ran on the back end."""
        return self._counts["passed_on"]

    @property
    def concurrency(self) -> int:
        """How many programs the back end runs at the same time."""
        return self._base.concurrency

    @property
    def environment(self) -> Environment:
        """That of the back end, with Monty's version after its name."""
        environment = self._base.environment
        monty = ".".join(str(ask_hello(self._pool).more["monty"]).split(".")[:2])
        return replace(environment, back_end=f"{environment.back_end} + monty {monty}")

    def run(
        self,
        program: Program,
        inputs: Sequence[Any],
        limits: Limits,
        cancellation: Cancellation | None = None,
    ) -> list[Execution]:
        """Run ``program`` on each of ``inputs``; see ``Sandbox.run``."""
        refuse_processes(limits)
        cancellation = cancellation or Cancellation()
        executions = self._try(program, inputs, limits, cancellation)
        taken = executions is not None
        if executions is None:
            executions = self._base.run(program, inputs, limits, cancellation)
        with self._lock:
            self._counts["taken" if taken else "passed_on"] += 1
        return executions

    def close(self) -> None:
        """Stop every process of the fast path, and close the back end."""
        self._close()
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _try(
        self, program: Program, inputs: Sequence[Any], limits: Limits, cancellation: Cancellation
    ) -> list[Execution] | None:
        """Run a program in Monty; ``None`` where it is for the back end."""
        if (
            not inputs
            or self._hopeless
            or program.call == "grid_ndarray"
            or limits.seconds < LEAST_SECONDS
            or limits.memory_mb < LEAST_MEMORY_MB
            or not self._speaks_alike()
        ):
            return None
        body = _body(program, encode_inputs(program.call, inputs), limits)
        if body is None:
            return None
        try:
            with self._pool.lend(cancellation) as server:
                server.send(wire.frame(wire.PROGRAM, body))
                kind, payload = server.receive(SILENCE_SECONDS)
                if kind != wire.RESULT:
                    raise ServerDiedError("it answers what nobody asked")
                executions = _read(payload, len(inputs), limits.output_bytes)
        except ServerDiedError:  # it is replaced, and what it died of is for the back end
            return None
        except RunCancelledError:
            raise
        except SandboxError as error:
            if self._close.alive:  # or it is only closed
                self._give_up(error)
            return None
        return executions

    def _give_up(self, error: SandboxError) -> None:
        with self._lock:
            first, self._hopeless = not self._hopeless, True
        if first:
            message = f"the fast path does not start, so that all programs run without it: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    def _speaks_alike(self) -> bool:
        """Whether programs are judged by the version of Python that the back end runs them with."""
        if self._same_python is None:
            theirs = self._base.environment.python.split(".")[:2]
            self._same_python = theirs == [str(number) for number in sys.version_info[:2]]
        return self._same_python


def _body(program: Program, texts: Sequence[str], limits: Limits) -> bytes | None:
    if len(program.source) + sum(map(len, texts)) > LONGEST_BODY:
        return None
    head = {
        "source": program.source,
        "entry_point": program.entry_point,
        "call": program.call,
        "seconds": min(BUDGET_SECONDS, limits.seconds / 10),
        "output_bytes": limits.output_bytes,
    }
    return f'{json.dumps(head)[:-1]}, "inputs": [{", ".join(texts)}]}}'.encode()


def _read(payload: bytes, inputs: int, output_bytes: int) -> list[Execution] | None:
    """Read an answer. Raises ``ServerDiedError`` for one that makes no sense."""
    try:
        answer = json.loads(payload)
        texts, seconds = answer["values"], float(answer["seconds"])
        if texts is None:
            return None
        if len(texts) != inputs or any(len(text) > output_bytes for text in texts):
            raise ServerDiedError("it answers what nobody asked")
        return [Execution("ok", loads(text), seconds=seconds / inputs) for text in texts]
    except (NotDataError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ServerDiedError("it answers what nobody asked") from error


def _start() -> Connection:
    environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    if "LD_LIBRARY_PATH" in os.environ:  # without it, some interpreters do not start
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    command = [sys.executable, "-P", "-s", "-c", _BOOT, _HOME]
    return Connection(ProcessTransport(command, environment))
