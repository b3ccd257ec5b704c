"""What programs run in, beyond the language: it can decide what they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from sandboxes.connection import Hello

PACKAGES = ("numpy", "scipy")
"""The packages beyond the standard library that a sandbox offers its programs unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The back end's name, and the versions of Python and of the packages that programs can import.

    Worth keeping with every result: ``scipy.stats.mode(x)[0][0]``, for one, is right in scipy 1.10 and an
    error in 1.11. ``more`` is what else the back end knows, such as its image.
    """

    back_end: str
    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it in words, as in ``Python 3.12.1 with numpy 2.4.6 (embedded)``."""
        packages = " and ".join(f"{name} {version}" for name, version in sorted(self.packages.items()))
        names = [value for key, value in self.more.items() if not key.endswith("_id")]
        details = ", ".join([self.back_end, *names])
        return f"Python {self.python}{' with ' if packages else ''}{packages} ({details})"

    @classmethod
    def of(cls, back_end: str, hello: Hello, **more: str) -> Self:
        """Read what a server says of itself."""
        return cls(back_end, hello.python, dict(hello.packages), more)
