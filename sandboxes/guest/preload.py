"""The modules a program may import: pure computing from the standard library, numpy and scipy.

They are imported before the first fork, since a program cannot open files. That is no line of defence: what
a program may *do* is decided by ``confine``.
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

MODULES = """
    __future__ abc array ast base64 binascii bisect builtins calendar cmath codecs collections collections.abc
    colorsys contextlib contextvars copy copyreg csv ctypes dataclasses datetime decimal difflib dis enum
    errno fnmatch fractions functools gc graphlib hashlib heapq hmac html html.entities html.parser inspect io
    ipaddress itertools json keyword linecache locale logging marshal math numbers opcode operator os os.path
    pathlib pickle pprint queue random re reprlib secrets shlex signal stat statistics string struct sys
    textwrap threading time timeit token tokenize traceback types typing unicodedata urllib.parse uuid
    warnings weakref zlib _strptime
""".split()
"""Modules of the standard library, those included that others import only when they are used."""

LATER_MODULES = ["_pylong"]
"""Those that only later versions of Python have; this one turns very long integers into text and back."""

ENCODINGS = """
    aliases ascii base64_codec charmap cp1252 cp437 cp850 hex_codec idna iso8859_1 iso8859_15 latin_1
    mac_roman punycode raw_unicode_escape rot_13 undefined unicode_escape utf_16 utf_16_be utf_16_le utf_32
    utf_32_be utf_32_le utf_7 utf_8 utf_8_sig
""".split()
"""Text encodings, which ``str.encode`` imports when it first meets one."""

# A process with threads cannot fork safely.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")

PACKAGES = {
    "numpy": """
        numpy.char numpy.fft numpy.lib.stride_tricks numpy.linalg numpy.ma numpy.polynomial numpy.random
        numpy.rec numpy.strings numpy.typing
    """.split(),
    "scipy": """
        scipy.cluster.hierarchy scipy.cluster.vq scipy.constants scipy.fft scipy.integrate scipy.interpolate
        scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse scipy.sparse.csgraph
        scipy.sparse.linalg scipy.spatial scipy.spatial.distance scipy.special scipy.stats
    """.split(),
}
"""Packages beyond the standard library, with those of their modules that importing them leaves for later; not
every version has all of them. Of any other package, the package itself is imported."""


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
        if fullname.partition(".")[0] in self.obtainable:
            self.want(fullname.partition(".")[0])
        raise ModuleNotFoundError(f"No module named {fullname!r} in the sandbox", name=fullname)


_nothing_else = _NothingElse()
_FOLDERS = sys.path[1:]  # the first is that of this package


def preload() -> None:
    """Import what programs may of the standard library; take the file system off the import path."""
    for name in MODULES + [f"encodings.{encoding}" for encoding in ENCODINGS]:
        importlib.import_module(name)
    for name in LATER_MODULES:
        with contextlib.suppress(ModuleNotFoundError):
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
    """Import packages beyond the standard library, in a process of their own."""
    sys.path[:] = [*_FOLDERS, *folders]
    sys.meta_path[:] = [
        importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter,
        importlib.machinery.PathFinder,
    ]
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    for name in names:
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
