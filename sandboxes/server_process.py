"""The host's end of one fork server: a process, two pipes, one request at a time."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxes.errors import SandboxError
from sandboxes.guest import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_SECONDS = 60.0
"""How long a server may take to start, on a machine that is busy or has slow disks."""

SEND_SECONDS = 30.0
"""How long a server may leave a request unread."""


_LONGEST_WAIT = 3600.0  # poll(2) counts milliseconds in an int


class ServerDiedError(Exception):
    """The server ended, fell silent or broke the protocol; the message calls it "it"."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What a server says of itself: versions, and which layers of confinement it has.

    ``missing`` says why programs cannot be confined, ``None`` where they can.
    """

    protocol: int
    python: str
    numpy: str | None
    missing: str | None
    landlock_abi: int
    drops_privileges: bool


class ServerProcess:
    """A running fork server. Not for several threads at once, but for ``kill``.

    Raises ``SandboxError`` where it does not start or speaks another version of the protocol.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._scratch = tempfile.mkdtemp(prefix="induce-sandbox-")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        try:
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
        self._received = bytearray()
        try:
            self.hello = self._greet()
        except ServerDiedError as error:
            last_words = self._last_words()
            self.dispose()
            raise SandboxError(f"the sandbox's server does not start: {error}{last_words}") from None
        except BaseException:
            self.dispose()
            raise

    def send(self, data: bytes) -> None:
        """Send frames. Raises ``ServerDiedError``."""
        view = memoryview(data)
        try:
            while view:
                if not self._writable.poll(SEND_SECONDS * 1000):
                    raise ServerDiedError("it has stopped reading")
                view = view[os.write(self._requests.fileno(), view) :]
        except OSError as error:
            raise ServerDiedError("it ended") from error

    def receive(self, seconds: float) -> tuple[bytes, bytes]:
        """Wait for the next frame and return its kind and payload. Raises ``ServerDiedError``."""
        deadline = time.monotonic() + seconds
        try:
            while (complete := wire.take(self._received)) is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ServerDiedError(f"it has been silent for {seconds:.0f} s")
                if not self._readable.poll(min(left, _LONGEST_WAIT) * 1000):
                    continue
                data = os.read(self._answers.fileno(), 1 << 18)
                if not data:
                    raise ServerDiedError("it ended")
                self._received += data
        except wire.ProtocolError as error:
            raise ServerDiedError(f"it broke the protocol: {error}") from error
        return complete

    def kill(self) -> None:
        """End the process at once; safe from any thread. ``dispose`` is still due."""
        self._process.kill()

    def dispose(self) -> None:
        """End the process and leave nothing of it behind."""
        self._process.kill()
        self._process.wait()
        self._close_files()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def abandon(self) -> None:
        """Let go of the server without ending it, in a process that was forked from its owner."""
        self._process.returncode = 0  # it is not this process's child, so there is nothing to wait for
        self._close_files()

    def _close_files(self) -> None:
        self._requests.close()
        self._answers.close()
        self._stderr.close()

    def _greet(self) -> Hello:
        kind, payload = self.receive(START_SECONDS)
        if kind != wire.HELLO:
            raise ServerDiedError("it does not speak the protocol")
        fields: dict[str, Any] = json.loads(payload)
        theirs = fields.get("protocol")
        if theirs != wire.PROTOCOL:
            raise ServerDiedError(
                f"it speaks version {theirs} of the protocol and this host version {wire.PROTOCOL}; "
                "install the same version of induce on both sides"
            )
        return Hello(**fields)

    def _last_words(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return f" ({lines[-1].strip()})" if lines else ""
