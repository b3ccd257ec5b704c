"""Who may use a sandbox service: names, and the secret token of each."""

from __future__ import annotations

import hmac
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sandboxes.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_VARIABLE = "INDUCE_SANDBOX_TOKEN"  # noqa: S105 - the name of it
"""The environment variable that holds the token, of a client and of a service that has only one."""

SHORTEST_TOKEN = 16
"""Characters that a token has at least."""

LONGEST_TOKEN = 512
"""Characters that a token has at most."""

_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


class Tokens:
    """The clients of a service by name. Nothing of a token appears in errors, logs or ``repr``.

    Raises ``SandboxError`` for tokens that are too short, not printable ASCII or the same for two names, and
    where there is none at all.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        for name, token in tokens.items():
            if not _NAME.fullmatch(name):
                raise SandboxError(
                    f"{name!r} is no client's name; use up to 64 letters, digits and any of _ . @ -"
                )
            check_token(token, f"the token of {name}")
        if not tokens:
            raise SandboxError("there is no token, so nobody could use the service; write a line NAME TOKEN")
        if len(set(tokens.values())) < len(tokens):
            raise SandboxError("two clients have the same token; give each its own")
        self._tokens = {name: token.encode() for name, token in tokens.items()}

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read a file with lines ``NAME TOKEN``; lines that begin with # and empty ones do not count.

        Raises ``SandboxError``, also where users other than the file's owner could read it.
        """
        try:
            with Path(path).open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if stat.S_ISREG(mode) and mode & 0o077:
                    raise SandboxError(
                        f"other users have access to the tokens in {path}; run chmod 600 {path}"
                    )
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SandboxError(f"the tokens in {path} cannot be read: {error}") from error
        tokens: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if not fields or fields[0].startswith("#"):
                continue
            if len(fields) != 2:
                raise SandboxError(f"line {number} of {path} is not NAME TOKEN")
            if fields[0] in tokens:
                raise SandboxError(
                    f"line {number} of {path} names {fields[0]!r} again; give each client one line"
                )
            tokens[fields[0]] = fields[1]
        return cls(tokens)

    @classmethod
    def from_environment(cls) -> Self:
        """Take the one token in ``INDUCE_SANDBOX_TOKEN``. Raises ``SandboxError`` where there is none."""
        token = os.environ.get(TOKEN_VARIABLE)
        if not token:
            raise SandboxError(
                f"a sandbox service needs tokens: set {TOKEN_VARIABLE}, or name a file of them"
            )
        return cls({"client": token})

    def client_of(self, token: str) -> str | None:
        """Give the name of the client whose token this is, in a time that tells nothing about the others."""
        found = None
        given = token.encode("utf-8", "surrogatepass")
        for name, known in self._tokens.items():
            if hmac.compare_digest(known, given):
                found = name
        return found

    def __len__(self) -> int:
        return len(self._tokens)

    def __repr__(self) -> str:
        return f"Tokens({', '.join(self._tokens)})"


def check_token(token: str, name: str) -> None:
    """Raise ``SandboxError``, which calls the token ``name``, where it is too weak or cannot travel."""
    if len(token) < SHORTEST_TOKEN:
        raise SandboxError(
            f"{name} has fewer than {SHORTEST_TOKEN} characters; make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise SandboxError(f"{name} is not up to {LONGEST_TOKEN} printable ASCII characters without spaces")
