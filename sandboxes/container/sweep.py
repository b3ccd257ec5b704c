"""Removing containers: one by one in the background, and those that a dead process has left."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from sandboxes.connection import UnreachableError
from sandboxes.container.engine import RefusedError
from sandboxes.container.labels import SANDBOX, Owner
from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from sandboxes.container.engine import Engine

START_GRACE = 600.0
"""Seconds for which another machine's container may have been created without running."""

LONGEST_LIFE = 24 * 3600.0
"""Seconds after which another machine's container is taken for forgotten."""

_NOT_THERE, _CONFLICT = 404, 409
_ATTEMPTS = 4


def sweep(engine: Engine) -> int:
    """Remove the containers of all sandboxes whose owner is dead, and say how many there were.

    Owners on other machines cannot be asked. Of theirs, those go that do not run, though not one that may be
    about to, and those that are a day old. Raises ``SandboxError`` where the engine does not answer.
    """
    found = abandoned(engine)
    for container in found:
        remove(engine, container)
    return len(found)


def abandoned(engine: Engine) -> list[str]:
    """Give the ids of the containers that ``sweep`` removes."""
    with engine.client() as client:
        containers = client.containers(all=True, filters={"label": SANDBOX})
    return [container["Id"] for container in containers if _is_abandoned(container)]


def containers_of(engine: Engine, sandbox: str) -> list[str]:
    """Give the ids of the containers of one sandbox, in whatever state."""
    with engine.client() as client:
        found = client.containers(all=True, filters={"label": f"{SANDBOX}={sandbox}"})
    return [container["Id"] for container in found]


def remove(engine: Engine, container: str) -> None:
    """Remove a container, whatever it is doing, and wait until it is gone.

    Raises ``SandboxError`` where the engine does not answer or cannot.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with engine.client() as client:
                client.remove_container(container, force=True, v=True)
        except RefusedError as error:
            if error.status == _CONFLICT:  # it is being removed already
                with contextlib.suppress(RefusedError, UnreachableError), engine.client() as client:
                    client.wait(container, condition="removed", timeout=30)
            elif error.status != _NOT_THERE:
                if attempt < _ATTEMPTS:
                    continue  # an engine can stumble over a state that changes meanwhile, as Podman does
                raise
        return


class Remover:
    """Removes containers in a thread of its own, which is there while there is something to do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def remove(self, container: str) -> None:
        """Have a container removed soon. Never raises, never waits."""
        self._queue.put(container)
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="induce-remover", daemon=True)
                with contextlib.suppress(
                    RuntimeError
                ):  # at the end of the interpreter: ``join`` does it then
                    thread.start()
                    self._thread = thread

    def join(self, seconds: float) -> None:
        """Wait until there is nothing left to do, but no longer than ``seconds``."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)

    def _work(self) -> None:
        while True:
            try:
                container = self._queue.get_nowait()
            except queue.Empty:
                with self._lock:
                    if self._queue.empty():
                        self._thread = None
                        return
                continue
            with contextlib.suppress(SandboxError, UnreachableError):  # the next sweep will find it
                remove(self._engine, container)


def _is_abandoned(container: dict[str, Any]) -> bool:
    owner = Owner.read(container.get("Labels") or {})
    lives = None if owner is None else owner.lives()
    if lives is not None:
        return not lives
    age = time.time() - _created(container)
    return age > (LONGEST_LIFE if container.get("State") == "running" else START_GRACE)


def _created(container: dict[str, Any]) -> float:
    try:
        return float(container["Created"])
    except (KeyError, TypeError, ValueError):
        return time.time()
