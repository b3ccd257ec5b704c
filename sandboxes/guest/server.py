"""The fork server: forks a child for each request, watches its budget and relays its results.

The server decides the fate of a child by what the kernel says of it, never by what the child says of itself:
its CPU clock, its exit status, the end of its result pipe.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import math
import os
import platform
import select
import signal
import time
from typing import TYPE_CHECKING, Any

from . import child, confine, wire
from .mailbox import Mailbox
from .preload import preload

if TYPE_CHECKING:
    from collections.abc import Sequence

STDIN, STDOUT = 0, 1

_LONGEST_WAIT = 3600.0  # poll(2) counts milliseconds in an int
_EXIT_GRACE = 0.2  # seconds between the end of a child's result pipe and its own end
_COMPANY = 0.002  # seconds for which a result waits, to travel together with the next


def main(argv: Sequence[str]) -> None:
    """Serve requests on standard input until it ends."""
    options = argparse.ArgumentParser(prog="guest")
    options.add_argument("--numpy", metavar="FOLDER", help="the folder that holds the package numpy")
    options.add_argument("--relaxed", action="store_true", help="run without the layers that are missing")
    chosen = options.parse_args(argv)
    try:
        _serve(_greet(chosen.numpy, chosen.relaxed))
    except (_EndError, BrokenPipeError):
        pass  # nobody is left to tell
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(os.getcwd())  # made by the host for this server; where it is not empty, it stays


def _greet(numpy_folder: str | None, relaxed: bool) -> confine.Layers:
    """Make ready for the first fork, and tell the host."""
    numpy = preload(numpy_folder)
    os.environ.clear()
    layers = confine.prepare(relaxed)
    hello = {
        "protocol": wire.PROTOCOL,
        "python": platform.python_version(),
        "numpy": numpy,
        "missing": confine.probe(layers),
        "landlock_abi": layers.landlock_abi,
        "drops_privileges": os.geteuid() == 0,
    }
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, all that it inherited
    wire.write(STDOUT, wire.frame(wire.HELLO, json.dumps(hello).encode()))
    return layers


def _serve(layers: confine.Layers) -> None:
    try:
        while (request := wire.read(STDIN, wire.REQUEST)) is not None:
            _Fork(layers, json.loads(request)).serve()
    except BrokenPipeError:
        raise
    except (wire.ProtocolError, ValueError, KeyError, OSError) as error:
        wire.write(STDOUT, wire.frame(wire.BROKEN, f"{type(error).__name__}: {error}".encode()))


class _EndError(Exception):
    """The host is gone, or knows already why this server ends."""


class _DiedError(Exception):
    """The child is dead, or must be; the first argument is the status of the input it was at."""

    def __init__(self, status: str, error: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = error


class _Fork:
    """One request: one child, from its fork to its burial."""

    def __init__(self, layers: confine.Layers, request: dict[str, Any]) -> None:
        self._inputs: int = request["inputs"]
        self._seconds: float = request["seconds"]
        self._wall_seconds: float = request["wall_seconds"]
        self._results, writer = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            child.run(layers, STDIN, writer, request)
        os.close(writer)
        longest = wire.MAX_HEAD + 2 * request["output_bytes"] + 2  # the three parts of a result
        self._mailbox = Mailbox(self._results, STDOUT, longest)
        self._clock = (~self._pid << 3) | 2  # CPUCLOCK_SCHED of that process, see clock_getcpuclockid(3)
        self._poll = select.poll()
        self._poll.register(self._results, select.POLLIN)
        self._poll.register(STDIN, 0)  # tells of the host's end, and leaves its next request alone
        self._cpu_start = self._wall_limit = math.inf

    def serve(self) -> None:
        """Relay the results, then say how the fork ended."""
        end: dict[str, Any] = {}
        try:
            self._prepare()
            try:
                self._relay()
            except _DiedError as death:
                seconds = time.clock_gettime(self._clock) - self._cpu_start
                end = {"status": death.status, "error": death.error, "seconds": seconds}
            self._mailbox.add(wire.frame(wire.END, json.dumps(end).encode()))
            self._mailbox.relay()
        finally:
            self._bury()

    def _prepare(self) -> None:
        """Wait until the child has read its program and confined itself; so far it can be trusted."""
        try:
            kind = self._next(wire.READY, wire.BROKEN)
        except _DiedError as death:
            raise wire.ProtocolError(f"a child died before it was confined: {death.error}") from death
        if kind == wire.BROKEN:
            self._mailbox.relay()
            raise _EndError
        self._mailbox.withhold()

    def _relay(self) -> None:
        """Pass on what the child says, as long as it keeps to its budget and to the order of frames."""
        self._restart_budget()
        if self._next(wire.LOADED, wire.FAILED) == wire.FAILED:
            return
        for _ in range(self._inputs):
            self._restart_budget()
            if self._next(wire.RESULT, wire.LAST) == wire.LAST:
                return

    def _restart_budget(self) -> None:
        self._cpu_start = time.clock_gettime(self._clock)
        self._wall_limit = time.monotonic() + self._wall_seconds

    def _next(self, *expected: bytes) -> bytes:
        """Wait for the child's next frame and return its kind. Raises ``_DiedError``."""
        try:
            while (kind := self._mailbox.next(expected)) is None:
                if self._mailbox.waiting and not self._readable(_COMPANY):
                    self._mailbox.relay()
                if self._readable(self._seconds_left()) and not self._mailbox.receive():
                    raise self._autopsy()
        except wire.ProtocolError:
            raise _DiedError("killed", "the program forged a message") from None
        return kind

    def _seconds_left(self) -> float:
        """How long the child can go on at least. Raises ``_DiedError`` where its budget is used up."""
        cpu = self._cpu_start + self._seconds - time.clock_gettime(self._clock)
        if cpu <= 0:
            raise _DiedError("timed_out", f"used more than {self._seconds:g} s of CPU time")
        wall = self._wall_limit - time.monotonic()
        if wall <= 0:
            raise _DiedError("timed_out", f"took more than {self._wall_seconds:g} s")
        return min(cpu, wall)

    def _readable(self, seconds: float) -> bool:
        """Wait until the child has written something or has ended."""
        timeout = None if seconds == math.inf else math.ceil(min(seconds, _LONGEST_WAIT) * 1000)
        for descriptor, _ in (events := self._poll.poll(timeout)):
            if descriptor == STDIN:
                raise _EndError
        return bool(events)

    def _autopsy(self) -> _DiedError:
        """Say what a child died of whose result pipe has ended."""
        deadline = time.monotonic() + _EXIT_GRACE
        while (found := os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
            if time.monotonic() > deadline:
                return _DiedError("killed", "the program closed its result channel")
            time.sleep(0.001)
        if found.si_code == os.CLD_EXITED:
            return _DiedError("killed", f"the process exited with status {found.si_status}")
        if found.si_status == signal.SIGKILL:  # not ours: the kernel's, for want of memory
            return _DiedError("out_of_memory", "the kernel killed the process for want of memory")
        return _DiedError("killed", f"the process died: {signal.strsignal(found.si_status)}")

    def _bury(self) -> None:
        """Kill the child and whatever is left in its session."""
        for kill in (os.kill, os.killpg):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._results)
        self._mailbox.close()
