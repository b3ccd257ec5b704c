"""The helper process: judges programs, and has Monty run those that are certain. ``python -P -s -c BOOT …``.

It speaks the frames of ``sandboxes.guest.wire``. For each PROGRAM it gives one RESULT: the JSON text of each
value, or ``null`` and the reason where the program is to run elsewhere. Monty itself is a process of its own,
started once; where it dies or hangs this process ends.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxes.fast_path import allow_list, cage
from sandboxes.guest import values, wire

if TYPE_CHECKING:
    from collections.abc import Sequence

STDIN, STDOUT = 0, 1

MEMORY_BYTES = 8 * 1024 * 1024
"""What a program may allocate in Monty; beyond, it runs elsewhere."""

RECURSION_DEPTH = 200
"""How deep a program may call in Monty: far from where CPython refuses to go on."""

HANG_SECONDS = 2.0
"""After which Monty's process is killed."""

_INPUTS = "induce_inputs"
_BECOME = """import sys
sys.path[:0] = {path!r}
from sandboxes.fast_path.monty_server import become_monty
become_monty({listener}, {binary!r})
"""


def main(arguments: Sequence[str]) -> None:
    """Serve programs on standard input until it ends; ``arguments`` are the folder of the packages."""
    del arguments
    with contextlib.suppress(BrokenPipeError):
        _Server().serve()
    os._exit(0)  # the client would wait for threads


def become_monty(listener: int, binary: str) -> None:
    """Confine this process and replace it by Monty."""
    program = os.open(binary, os.O_RDONLY | os.O_CLOEXEC)  # before its folder is out of reach
    cage.enter(listener)
    os.execve(program, [binary, "subprocess"], {})  # noqa: S606 - confined above


class _Server:
    """Monty in its process, and the programs that it is given."""

    def __init__(self) -> None:
        import pydantic_monty  # noqa: PLC0415 - an optional extra
        from pydantic_monty._binary import find_monty_binary  # noqa: PLC0415

        self._errors = pydantic_monty.MontyRuntimeError, pydantic_monty.MontySyntaxError
        self._version = pydantic_monty.__version__
        before = _children()
        listener = cage.Listener()
        # The client starts "BINARY subprocess": an interpreter takes that for a file of this folder.
        script = Path("subprocess")
        script.write_text(
            _BECOME.format(path=sys.path, listener=listener.descriptor, binary=find_monty_binary())
        )
        self._pool = pydantic_monty.Monty(
            binary_path=sys.executable, min_processes=1, max_processes=1, request_timeout=HANG_SECONDS
        )
        try:
            self._pool.__enter__()
            with self._session(1.0) as session:
                if session.feed_run("def f(x):\n    return [sorted(x), str(x)]\nf([2, 1])") != [
                    [1, 2],
                    "[2, 1]",
                ]:
                    raise cage.CageError("Monty does not work")
        finally:
            script.unlink()
        [child] = _children() - before
        listener.close()
        os.rmdir(os.getcwd())  # made by the host for this process
        os.chdir("/")
        cage.drop_privileges()
        cage.limit_processes(child)  # as the user that it belongs to
        gc.collect()
        gc.freeze()
        cage.confine_driver()

    def serve(self) -> None:
        """Greet, then answer until standard input ends."""
        hello = {
            "protocol": wire.PROTOCOL,
            "python": platform.python_version(),
            "packages": {},
            "missing": None,
            "landlock_abi": 0,
            "drops_privileges": False,
            "more": {"monty": self._version},
        }
        wire.write(STDOUT, wire.frame(wire.HELLO, json.dumps(hello).encode()))
        while (message := wire.read(STDIN, wire.PROGRAM, wire.PING)) is not None:
            kind, payload = message
            if kind == wire.PING:
                wire.write(STDOUT, wire.frame(wire.PONG))
                continue
            started = time.perf_counter()
            try:
                texts = self._run(json.loads(payload))
                answer: dict[str, Any] = {"values": texts}
            except (allow_list.Uncertain, values.NotDataError, RecursionError) as reason:
                answer = {"values": None, "reason": str(reason)}
            answer["seconds"] = time.perf_counter() - started
            wire.write(STDOUT, wire.frame(wire.RESULT, json.dumps(answer).encode()))

    def _run(self, body: dict[str, Any]) -> list[str]:
        """Run a program on its inputs. Raises ``Uncertain``, and whatever the death of Monty raises."""
        source, call, encoded = body["source"], body["call"], body["inputs"]
        arguments = [list(one.values()) for one in encoded] if call == "keyword" else encoded
        if not allow_list.certain_inputs(arguments):
            raise allow_list.Uncertain("its inputs")
        truths, dicts = allow_list.has_truths(arguments), allow_list.has_dicts(arguments)
        allow_list.check(source, body["entry_point"], truths=truths, dicts=dicts)
        if _INPUTS in source:
            raise allow_list.Uncertain("its names")
        inputs = values.decode(encoded)
        how = {"positional": "*x", "keyword": "**x"}.get(call, "x")
        code = f"{source}\n[{body['entry_point']}({how}) for x in {_INPUTS}]"
        try:
            with self._session(body["seconds"]) as session:
                found = session.feed_run(code, inputs={_INPUTS: inputs})
        except self._errors as error:
            raise allow_list.Uncertain("what Monty raises") from error
        longest = body["output_bytes"]
        if type(found) is not list or not allow_list.certain_value(found, longest):
            raise allow_list.Uncertain("its value")
        texts = [values.write_json(values.encode(value, max_size=longest)) for value in found]
        if any(len(text) > longest for text in texts):
            raise allow_list.Uncertain("its value's length")
        return texts

    def _session(self, seconds: float) -> Any:
        return self._pool.checkout(
            limits={
                "max_feed_duration_secs": seconds,
                "max_memory": MEMORY_BYTES,
                "max_recursion_depth": RECURSION_DEPTH,
                "max_suspensions": 1,
            },
            os_policy={"sleep": "zero", "random_start": {"seed": 0}},
        )


def _children() -> set[int]:
    """Give the processes that this one has started."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        found |= set(map(int, (thread / "children").read_text().split()))
    return found
