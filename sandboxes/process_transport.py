"""Bytes to and from a fork server that is a child process: two pipes."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_WAIT = 3600.0  # poll(2) counts milliseconds in an int
_CHUNK = 1 << 18


class ProcessTransport:
    """A child process with a folder of its own, see ``Transport``.

    Raises ``SandboxError`` where ``command`` cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        try:
            self._scratch = tempfile.mkdtemp(prefix="induce-sandbox-")
        except OSError as error:
            raise SandboxError(f"the sandbox's server gets no folder of its own: {error}") from error
        try:
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                cwd=self._scratch,
                env=environment,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in the user's terminal is not for the server
            )
        except OSError as error:
            if hasattr(self, "_stderr"):
                self._stderr.close()
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise SandboxError(f"the sandbox's server does not start: {error}") from error
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._requests, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(self._requests, select.POLLOUT)
        self._readable.register(self._answers, select.POLLIN)

    def send(self, data: memoryview, seconds: float) -> int:
        """Wait until some of ``data`` can be sent, and say how many bytes were: 0 where none in time."""
        if not self._writable.poll(min(seconds, _LONGEST_WAIT) * 1000):
            return 0
        return os.write(self._requests.fileno(), data)

    def receive(self, seconds: float) -> bytes | None:
        """Wait for bytes: ``None`` where none came in time, empty where none will come any more."""
        if not self._readable.poll(min(seconds, _LONGEST_WAIT) * 1000):
            return None
        return os.read(self._answers.fileno(), _CHUNK)

    def kill(self) -> None:
        """End the process at once; safe from any thread."""
        self._process.kill()

    def dispose(self) -> None:
        """End the process and leave nothing of it behind."""
        self._process.kill()
        self._process.wait()
        self._close_files()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def abandon(self) -> None:
        """Let go of the process without ending it, in a process that was forked from its owner."""
        self._process.returncode = 0  # it is not this process's child, so there is nothing to wait for
        self._close_files()

    def last_words(self) -> str:
        """What the process wrote to its standard error."""
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace")

    def _close_files(self) -> None:
        self._requests.close()
        self._answers.close()
        self._stderr.close()
