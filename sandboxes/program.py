"""What is run: a program, and how it takes its input."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

CallStyle = Literal["single", "positional", "keyword", "grid_list", "grid_ndarray"]
"""How an input becomes the arguments of a call.

``single``
    the input is the one argument;
``positional``
    the input is a list or tuple, one element an argument;
``keyword``
    the input is a dict from parameter name to argument;
``grid_list``
    the input is a rectangular list of rows of integers, passed as one argument;
``grid_ndarray``
    as ``grid_list``, but the program receives a two-dimensional ``numpy.ndarray``.
"""


@dataclass(frozen=True, slots=True)
class Program:
    """Python source with a function to call.

    ``source`` is a complete module: it holds every import and helper that it uses.
    ``entry_point`` names the function, ``call`` says how an input becomes its arguments. ``packages`` are
    those beyond the standard library that it may import, ``None`` for all that the sandbox has.
    """

    source: str
    entry_point: str
    call: CallStyle = "single"
    packages: frozenset[str] | None = None

    @property
    def key(self) -> str:
        """Content hash (SHA-256, hexadecimal) of all that decides what running it does."""
        parts = [self.call, self.entry_point, self.source]
        if self.packages is not None:
            parts.insert(0, f"packages={','.join(sorted(self.packages))}")
        content = "\0".join(parts)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
