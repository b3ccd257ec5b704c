"""Imports what programs may import, and then takes the file system away.

That is no line of defence: what a program may *do* is decided by ``confine``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import os
import random
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, NoReturn

from .modules import CORE, ENCODINGS, LATER_MODULES, LIBRARY, MODULES, PACKAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

# A process with threads cannot fork safely.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


class _NothingElse(MetaPathFinder):
    """Stands where the file system was, and says so."""

    def __init__(self) -> None:
        self.obtainable: frozenset[str] = frozenset()
        self.want: Callable[[str], object] = str

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> NoReturn:
        root = fullname.partition(".")[0]
        wanted = LIBRARY if root in sys.stdlib_module_names else root
        if wanted in self.obtainable:
            self.want(wanted)
        raise ModuleNotFoundError(f"No module named {fullname!r} in the sandbox", name=fullname)


_nothing_else = _NothingElse()
_FOLDERS = sys.path[1:]  # the first is that of this package


def preload() -> None:
    """Import the core of what programs may import; take the file system off the import path."""
    for name in CORE:
        importlib.import_module(name)
    _take_away_the_file_system()


def find_packages(folders: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Give those of the packages that lie in one of the folders, with their versions where known."""
    found = {}
    for name in names:
        for folder in folders:
            if os.path.isdir(os.path.join(folder, name)):
                found[name] = _version(folder, name)
                break
    return found


def load_packages(folders: Sequence[str], names: Iterable[str]) -> None:
    """Import the rest of the standard library and the packages named, in a process of their own."""
    sys.path[:] = [*_FOLDERS, *folders]
    sys.meta_path[:] = [
        importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter,
        importlib.machinery.PathFinder,
    ]
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    for name in MODULES + [f"encodings.{encoding}" for encoding in ENCODINGS]:
        importlib.import_module(name)
    for name in LATER_MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    for name in names:
        if name == LIBRARY:
            continue
        importlib.import_module(name)
        for module in PACKAGES.get(name, ()):
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(module)
    os.environ.clear()
    if (generators := sys.modules.get("numpy.random.bit_generator")) is not None:
        # Generators that are made without a seed ask this for one; each input finds ``random`` seeded.
        generators.randbits = random.getrandbits  # type: ignore[attr-defined]
    _take_away_the_file_system()


def let_want(obtainable: Iterable[str], want: Callable[[str], object]) -> None:
    """Call ``want`` when the program imports one of the ``obtainable`` packages, which are not loaded."""
    _nothing_else.obtainable = frozenset(obtainable)
    _nothing_else.want = want


def _take_away_the_file_system() -> None:
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [
        importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter,
        _nothing_else,
    ]


def _version(folder: str, name: str) -> str:
    """Read a package's version off the name of the folder that ``pip`` leaves beside it."""
    for entry in os.listdir(folder):
        stem, dot, _ = entry.lower().rpartition(".dist-info")
        if dot and stem.rpartition("-")[0] == name.lower():
            return stem.rpartition("-")[2]
    return "unknown"
