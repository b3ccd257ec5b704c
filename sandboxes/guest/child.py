"""A forked child becomes the program: it reads it, confines itself, and runs it on the inputs."""

from __future__ import annotations

import io
import json
import mmap
import os
import random
import sys
import types
from time import process_time  # by name: a program may replace what the module holds
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from . import confine, values, wire
from .preload import let_want
from .report import FILENAME, describe

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE_NAME = "program"
"""The ``__name__`` of a program; not ``__main__``, so that its demonstrations do not run."""

SEED = 0
"""Seed of ``random`` and ``numpy.random`` before each input."""

_REHEARSALS = 30
_RECURSION_LIMIT = 1000
_MAX_ERROR = 1000


def run(layers: confine.Layers, request: int, result: int, limits: dict[str, Any]) -> NoReturn:
    """Read a program from ``request``, run it confined, and write what it gives to ``result``."""
    try:
        _, program = wire.read(request, wire.PROGRAM) or (b"", b"")
        body = json.loads(program.decode())
        # Address space alone, of which no page is touched.
        reserve = mmap.mmap(-1, confine.RESERVE_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            confine.apply(layers, result, limits["memory_mb"], len(program))
        except (confine.ConfinementError, OSError) as error:
            wire.write(result, wire.frame(wire.BROKEN, str(error).encode()))
        else:
            wire.write(result, wire.frame(wire.READY))
            let_want(limits["obtainable"], lambda package: _want(result, package))
            _Run(body, result, limits["output_bytes"], reserve).all()
    finally:
        os._exit(0)  # no exit handlers, no finalizers: they would be the program's


def rehearse(null: int) -> None:
    """Run a trivial program in this process, which has others in children of its own.

    CPython specialises code and remembers look-ups as it runs. What the server has remembered, its children
    need not; each of them would copy the pages it stands on, which is most of what a program costs.
    """
    streams = sys.stdin, sys.stdout, sys.stderr
    body = {
        "source": "def f(x):\n    return [x, 'a']\n",
        "entry_point": "f",
        "call": "single",
        "inputs": [1, [2]],
    }
    program = wire.frame(wire.PROGRAM, json.dumps(body).encode())
    reader, writer = os.pipe()
    with mmap.mmap(-1, mmap.PAGESIZE) as reserve:
        for _ in range(_REHEARSALS):
            wire.write(writer, program)
            _, payload = wire.read(reader, wire.PROGRAM) or (b"", b"")
            _Run(json.loads(payload), null, len(program), reserve).all()
    os.close(reader)
    os.close(writer)
    _prepared.append(_Streams())
    del sys.modules[MODULE_NAME]
    sys.stdin, sys.stdout, sys.stderr = streams


def _want(result: int, package: str) -> NoReturn:
    wire.write(result, wire.frame(wire.WANT, package.encode()))
    os._exit(0)  # the program starts again where that package is loaded


class _Run:
    """One program in this process, from its module to its last input."""

    def __init__(self, body: dict[str, Any], result: int, output_bytes: int, reserve: mmap.mmap) -> None:
        self._source: str = body["source"]
        self._entry_point: str = body["entry_point"]
        self._call: str = body["call"]
        self._inputs: list[Any] = body["inputs"]
        self._result = result
        self._output_bytes = output_bytes
        self._reserve = reserve
        self._module = types.ModuleType(MODULE_NAME)
        self._streams = _prepared.pop() if _prepared else _Streams()
        self._streams.stdout.size = output_bytes
        self._kind_of_last = wire.FAILED
        self._started = process_time()

    def all(self) -> None:
        """Run the module, then the entry point on each input; end at the first want of memory."""
        try:
            self._all()
        except MemoryError as error:
            self._reserve.close()
            error.__traceback__ = None
            self._module.__dict__.clear()
            self._send(self._kind_of_last, "out_of_memory", error="MemoryError")

    # Short, as is every function that a MemoryError passes through: where the error leaves a handler, CPython
    # notes the place as an int, which above 256 takes memory, and it tries for ever where there is none.

    def _all(self) -> None:
        function = self._load()
        if function is None:
            return
        wire.write(self._result, wire.frame(wire.LOADED))
        self._kind_of_last = wire.LAST
        for encoded in self._inputs:
            self._one(function, encoded)
            self._started = process_time()
            self._streams = _Streams()
            self._streams.stdout.size = self._output_bytes

    def _load(self) -> Callable[..., Any] | None:
        """Run the module and give its entry point; where that fails, report it and give ``None``."""
        if (linecache := sys.modules.get("linecache")) is not None:
            lines = self._source.splitlines(True)
            linecache.cache[FILENAME] = (len(self._source), None, lines, FILENAME)
        sys.modules[MODULE_NAME] = self._module
        self._calm()
        try:
            return self._define()
        except MemoryError:
            raise
        except BaseException as error:
            self._send(wire.FAILED, "raised", error=describe(error, self._source))
            return None

    def _define(self) -> Callable[..., Any]:
        namespace = self._module.__dict__
        exec(compile(self._source, FILENAME, "exec"), namespace)  # noqa: S102 - confined above
        if self._entry_point not in namespace:
            raise NameError(f"the program defines no {self._entry_point!r}")
        function = namespace[self._entry_point]
        if not callable(function):
            raise TypeError(f"{self._entry_point!r} is not a function")
        return function  # type: ignore[no-any-return]

    def _one(self, function: Callable[..., Any], encoded: Any) -> None:
        """Run the entry point on one input and report what came of it. Raises ``MemoryError``."""
        try:
            text = self._text(function, values.decode(encoded))
        except MemoryError:
            raise
        except BaseException as error:
            self._report(error)
        else:
            self._send(wire.RESULT, "ok", value=text)

    def _text(self, function: Callable[..., Any], argument: Any) -> str:
        """Call the entry point and write its value as JSON."""
        value = self._apply(function, argument)
        text = values.write_json(values.encode(value, max_size=self._output_bytes))
        if len(text) > self._output_bytes:
            raise values.TooLargeError
        return text

    def _report(self, error: BaseException) -> None:
        """Report what the program or its value did wrong."""
        if isinstance(error, values.TooLargeError):
            message = f"the value is too large: more than {self._output_bytes} bytes as JSON"
            self._send(wire.RESULT, "bad_output", error=message)
        elif isinstance(error, values.NotDataError):
            self._send(wire.RESULT, "bad_output", error=str(error))
        else:
            self._send(wire.RESULT, "raised", error=describe(error, self._source))

    def _apply(self, function: Callable[..., Any], argument: Any) -> Any:
        self._calm()
        try:
            return self._invoke(function, argument)
        finally:
            # What follows is not the program's any more; its trace would see a call.
            sys.settrace(None)
            sys.setprofile(None)
            _allow_recursion()

    def _invoke(self, function: Callable[..., Any], argument: Any) -> Any:
        if self._call == "positional":
            return function(*argument)
        if self._call == "keyword":
            return function(**argument)
        return function(_grid(argument) if self._call == "grid_ndarray" else argument)

    def _calm(self) -> None:
        """Give each input the same start: seeds and streams."""
        random.seed(SEED)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(SEED)
        sys.stdin = self._streams.stdin
        sys.stdout = self._streams.stdout.stream
        sys.stderr = self._streams.stderr.stream

    def _send(self, kind: bytes, status: str, *, value: str = "null", error: str | None = None) -> None:
        seconds = process_time() - self._started
        error = error and error[:_MAX_ERROR]
        head = values.write_json({"status": status, "error": error, "seconds": seconds})
        payload = f"{head}\n{value}\n{self._streams.stdout.text()}"
        wire.write(self._result, wire.frame(kind, payload.encode()))


class _Captured(io.RawIOBase):
    """Keeps the first bytes written to it, and forgets the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._kept = bytearray()
        self.stream: TextIO = io.TextIOWrapper(
            self,  # type: ignore[type-var]
            encoding="utf-8",
            errors="backslashreplace",
            newline="",
            write_through=True,
        )

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._kept += view[: max(self.size - len(self._kept), 0)]
        return len(view)

    def text(self) -> str:
        """What was kept; a character cut in half is dropped."""
        return self._kept.decode("utf-8", "ignore")


class _Streams:
    """Nothing to read, room for what is printed to standard output, none for errors."""

    def __init__(self) -> None:
        self.stdin = io.StringIO()
        self.stdout = _Captured()
        self.stderr = _Captured()


_prepared: list[_Streams] = []
"""Made by the server for its next child, and for each of them, since none can give them back."""


def _allow_recursion() -> None:
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION_LIMIT))


def _grid(rows: list[list[int]]) -> Any:
    import numpy as np  # noqa: PLC0415 - loaded already where the server found it

    return np.array(rows, dtype=np.int64).reshape(len(rows), len(rows[0]) if rows else 0)
