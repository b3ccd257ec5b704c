"""The fork server: forks a child for each request, watches its budget and relays its results.

The server decides the fate of a child by what the kernel says of it, never by what the child says of itself:
its CPU clock, its exit status, the end of its result pipe.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from . import child, confine, wire
from .mailbox import Mailbox
from .preload import find_packages, load_packages, preload

if TYPE_CHECKING:
    from collections.abc import Sequence

STDIN, STDOUT = 0, 1

_LONGEST_WAIT = 3600.0  # poll(2) counts milliseconds in an int
_EXIT_GRACE = 0.2  # seconds between the end of a child's result pipe and its own end
_READ_SECONDS = 60.0  # for a child to read its program
_MOST_COPIES = 4  # of this process, with other packages loaded
_COMPANY = 0.002  # seconds for which a result waits, to travel together with the next


def main(arguments: Sequence[str]) -> None:
    """Serve requests on standard input until it ends."""
    options = _Options(arguments)
    try:
        _serve(*_greet(options))
    except (_EndError, BrokenPipeError):
        pass  # nobody is left to tell
    finally:
        if options.remove_folder:
            with contextlib.suppress(OSError):
                os.rmdir(os.getcwd())  # made by the host for this server; where it is not empty, it stays


class _Options:
    """``--site FOLDER`` holds packages, ``--package NAME`` may be imported; both can be repeated.

    ``--relaxed`` runs programs without the layers that are missing; ``--remove-folder`` removes the folder in
    which the server was started when it ends.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.sites: list[str] = []
        self.packages: list[str] = []
        self.relaxed = self.remove_folder = False
        rest = list(arguments)
        while rest:
            name = rest.pop(0)  # argparse would be a megabyte more to fork
            if name == "--site":
                self.sites.append(rest.pop(0))
            elif name == "--package":
                self.packages.append(rest.pop(0))
            elif name == "--relaxed":
                self.relaxed = True
            elif name == "--remove-folder":
                self.remove_folder = True
            else:
                raise SystemExit(f"guest: unknown option {name}")


def _greet(options: _Options) -> tuple[confine.Layers, _Tiers]:
    """Make ready for the first fork, and tell the host."""
    packages = find_packages(options.sites, options.packages)
    preload()
    os.environ.clear()
    layers = confine.prepare(options.relaxed)
    hello = {
        "protocol": wire.PROTOCOL,
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": packages,
        "missing": confine.probe(layers),
        "landlock_abi": layers.landlock_abi,
        "drops_privileges": os.geteuid() == 0,
    }
    _freeze(layers.null)
    wire.write(STDOUT, wire.frame(wire.HELLO, json.dumps(hello).encode()))
    return confine.ready_to_fork(layers), _Tiers(layers, options.sites)


def _freeze(null: int) -> None:
    """Make all that there is ready to be copied by forks, and never to be collected."""
    child.rehearse(null)
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, all that it inherited


def _serve(layers: confine.Layers, tiers: _Tiers) -> None:
    try:
        while (message := wire.read(STDIN, wire.REQUEST, wire.PING)) is not None:
            kind, payload = message
            if kind == wire.PING:
                wire.write(STDOUT, wire.frame(wire.PONG))
                continue
            request = json.loads(payload)
            if request["packages"]:
                tiers.serve(request["packages"], payload)
            else:
                _Fork(layers, request).serve()
    except BrokenPipeError:
        raise
    except (wire.ProtocolError, ValueError, KeyError, OSError) as error:
        _tell_broken(error)


def _tell_broken(error: Exception) -> None:
    wire.write(STDOUT, wire.frame(wire.BROKEN, f"{type(error).__name__}: {error}".encode()))


class _Copy(NamedTuple):
    """A copy of the server that has loaded packages, and the server's ends of the pipes to it."""

    pid: int
    requests: int
    done: int

    @property
    def ends(self) -> tuple[int, int]:
        return self.requests, self.done

    def end(self) -> None:
        for end in self.ends:
            os.close(end)
        os.waitpid(self.pid, 0)


class _Tiers:
    """Copies of this process that have loaded packages: a fork takes the longer, the more there is to copy.

    Each is started for the first program that needs its packages. Its requests come through a pipe; all else
    it has in common with this process: the programs on standard input, the results on standard output.
    """

    def __init__(self, layers: confine.Layers, sites: Sequence[str]) -> None:
        self._layers = layers
        self._sites = sites
        self._copies: dict[tuple[str, ...], _Copy] = {}

    def serve(self, packages: Sequence[str], request: bytes) -> None:
        """Have one request served. Raises ``_EndError`` where that process ends, which has said why."""
        key = tuple(packages)
        copy = self._copies.pop(key, None) or self._start(key)
        self._copies[key] = copy  # the last one used is the last one dropped
        if len(self._copies) > _MOST_COPIES:
            self._copies.pop(next(iter(self._copies))).end()
        wire.write(copy.requests, wire.frame(wire.REQUEST, request))
        if not os.read(copy.done, 1):
            raise _EndError

    def _start(self, packages: tuple[str, ...]) -> _Copy:
        (requests_out, requests_in), (done_out, done_in) = os.pipe(), os.pipe()
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                confine.die_with(server)
                for ours in (
                    requests_in,
                    done_out,
                    *(end for copy in self._copies.values() for end in copy.ends),
                ):
                    os.close(ours)
                self._be(packages, requests_out, done_in)
            finally:
                os._exit(0)
        os.close(requests_out)
        os.close(done_in)
        return _Copy(pid, requests_in, done_out)

    def _be(self, packages: tuple[str, ...], requests: int, done: int) -> None:
        try:
            load_packages(self._sites, packages)
            _freeze(self._layers.null)
            layers = confine.ready_to_fork(self._layers)
            while (message := wire.read(requests, wire.REQUEST)) is not None:
                _Fork(layers, json.loads(message[1])).serve()
                os.write(done, b".")
        except (_EndError, BrokenPipeError):
            pass
        except Exception as error:  # an installation can be broken in any way
            _tell_broken(error)


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
        self._wall_limit = time.monotonic() + _READ_SECONDS
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
        if self._next(wire.LOADED, wire.FAILED, wire.WANT) != wire.LOADED:
            return
        for _ in range(self._inputs):
            self._restart_budget()
            if self._next(wire.RESULT, wire.LAST, wire.WANT) != wire.RESULT:
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
