"""What programs begin with that need more than Python's own functions: modules whose source is copied.

The search runs the very same functions, so what it finds and what the program does cannot differ.
"""

from __future__ import annotations

import inspect
from types import ModuleType


def source_of(module: ModuleType) -> str:
    """Give the source of a helper module, without its docstring."""
    _, _, code = inspect.getsource(module).split('"""', 2)
    return code.lstrip("\n")
