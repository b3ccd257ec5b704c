"""Profiles of programs, kept in a folder, so that a machine tries a program on the probes once."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

from hypotheses.recall import grid_probes, grids, probes, profile, relations
from hypotheses.recall.profile import Profile, profile_of
from sandboxes import Cancellation, Program, Sandbox


class ProfileFolder:
    """Profiles by program, ``profiles`` to begin with; without a folder they are forgotten at the end.

    What cannot be read or written is made anew: it is a cache.

    Any number of processes may use one folder. A profile counts only for the probes and relations that it
    was made with.
    """

    def __init__(self, folder: Path | None, profiles: Iterable[Profile] = ()) -> None:
        self._folder = None if folder is None else folder / _ways()
        self._known = {profile.program.key: profile for profile in profiles}

    def get(self, program: Program, sandbox: Sandbox, cancellation: Cancellation | None = None) -> Profile:
        """Give a program's profile, made in ``sandbox`` if there is none yet.

        Raises ``SandboxError`` where the sandbox failed.
        """
        known = self._known.get(program.key) or self._read(program)
        if known is None:
            known = profile_of(program, sandbox, cancellation)
            self._write(known)
        self._known[program.key] = known
        return known

    def has(self, program: Program) -> bool:
        """Whether a program's profile is there already."""
        if program.key not in self._known and (found := self._read(program)) is not None:
            self._known[program.key] = found
        return program.key in self._known

    def _path(self, program: Program) -> Path | None:
        return None if self._folder is None else self._folder / f"{program.key}.json"

    def _read(self, program: Program) -> Profile | None:
        path = self._path(program)
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            if path is not None:
                tokens, outcomes = json.loads(path.read_text(encoding="utf-8"))
                found = tuple(
                    None if one is None else frozenset(tokens[number] for number in one) for one in outcomes
                )
                if len(found) == len(probes.probes_for(program).inputs):
                    return Profile(program, found)
        return None

    def _write(self, made: Profile) -> None:
        path = self._path(made.program)
        if path is None:
            return
        numbers: dict[str, int] = {}
        outcomes = [
            None if one is None else [numbers.setdefault(token, len(numbers)) for token in sorted(one)]
            for one in made.outcomes
        ]
        text = json.dumps([list(numbers), outcomes], separators=(",", ":"))
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)


@cache
def _ways() -> str:
    """Name the probes and relations by their code: with other code there are other profiles."""
    modules: tuple[ModuleType, ...] = (grid_probes, grids, probes, profile, relations)
    code = "\0".join(inspect.getsource(module) for module in modules)
    return hashlib.sha256(code.encode()).hexdigest()[:16]
