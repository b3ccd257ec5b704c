"""See that nobody else's ``memory.py`` stands in for one of the packages of this distribution."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SIBLINGS = ("sandboxes", "hypotheses", "memory", "gnn_compile", "ray_jobs")


def check_siblings() -> None:
    """Check that each package of the distribution would be, or was, loaded from beside this one.

    Raises ``ImportError`` that names the file in the way. It is no ``InduceError``: the package that defines
    those may be the very one that is hidden.
    """
    home = Path(__file__).resolve().parent.parent
    for name in SIBLINGS:
        spec = importlib.util.find_spec(name)
        found = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        if found is None:
            raise ImportError(f"induce needs its package {name!r}, which is missing; install induce again")
        if found.parent.parent != home:
            raise ImportError(
                f"{found} hides the package {name!r} of induce in {home}; rename that file or folder, "
                "or take it off sys.path"
            )
