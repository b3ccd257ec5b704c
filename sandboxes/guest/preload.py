"""The modules a program may import: pure computing from the standard library, and numpy.

They are imported before the first fork, since a program cannot open files. That is no line of defence: what
a program may *do* is decided by ``confine``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import random
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence
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

ENCODINGS = """
    aliases ascii base64_codec charmap cp1252 cp437 cp850 hex_codec idna iso8859_1 iso8859_15 latin_1
    mac_roman punycode raw_unicode_escape rot_13 undefined unicode_escape utf_16 utf_16_be utf_16_le utf_32
    utf_32_be utf_32_le utf_7 utf_8 utf_8_sig
""".split()
"""Text encodings, which ``str.encode`` imports when it first meets one."""

NUMPY_MODULES = """
    numpy.char numpy.fft numpy.lib.stride_tricks numpy.linalg numpy.ma numpy.polynomial numpy.random numpy.rec
    numpy.strings numpy.typing
""".split()
"""Modules of numpy that ``import numpy`` leaves for later; not every version has all of them."""


class _NothingElse(MetaPathFinder):
    """Stands where the file system was, and says so."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> NoReturn:
        raise ModuleNotFoundError(f"No module named {fullname!r} in the sandbox", name=fullname)


def preload(numpy_folder: str | None) -> str | None:
    """Import everything, then take the file system off the import path; return numpy's version.

    ``numpy_folder`` is the folder that holds the package ``numpy``; where there is none, programs do without.
    """
    for name in MODULES + [f"encodings.{encoding}" for encoding in ENCODINGS]:
        importlib.import_module(name)
    version = None
    if numpy_folder is not None:
        sys.path.append(numpy_folder)
        version = str(importlib.import_module("numpy").__version__)
        for name in NUMPY_MODULES:
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(name)
        # Generators that are made without a seed ask this for one; each input finds ``random`` seeded.
        sys.modules["numpy.random.bit_generator"].randbits = random.getrandbits  # type: ignore[attr-defined]
    sys.path.clear()
    sys.path_importer_cache.clear()
    sys.meta_path[:] = [
        importlib.machinery.BuiltinImporter,
        importlib.machinery.FrozenImporter,
        _NothingElse(),
    ]
    return version
