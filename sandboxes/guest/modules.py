"""The modules that programs may import: pure computing from the standard library, and some packages.

They are imported before a program is forked, since it cannot open files. What it imports takes time to copy
with each fork, so that a server has the core alone, and copies of itself with more (``server``).
"""

from __future__ import annotations

LIBRARY = "stdlib"
"""Stands for the rest of the standard library among packages; with any of them it is loaded, too."""

CORE = """
    _thread abc array atexit bisect builtins codecs collections collections.abc contextlib copy copyreg
    ctypes encodings encodings.aliases encodings.ascii encodings.latin_1 encodings.utf_8 enum errno
    functools gc heapq io itertools json keyword marshal math operator os os.path random re reprlib
    resource select signal stat string struct sys time types typing warnings weakref
""".split()
"""Modules that every program finds loaded."""

MODULES = """
    __future__ ast base64 binascii calendar cmath colorsys contextvars csv dataclasses datetime decimal
    difflib dis fnmatch fractions graphlib hashlib hmac html html.entities html.parser inspect ipaddress
    linecache locale logging numbers opcode pathlib pickle pprint queue secrets shlex statistics textwrap
    threading timeit token tokenize traceback unicodedata urllib.parse uuid zlib _strptime
""".split()
"""The rest of the standard library, as far as it is for programs; those included that others import only when
they are used."""

LATER_MODULES = ["_pylong"]
"""Those that only later versions of Python have; this one turns very long integers into text and back."""

ENCODINGS = """
    aliases ascii base64_codec charmap cp1252 cp437 cp850 hex_codec idna iso8859_1 iso8859_15 latin_1
    mac_roman punycode raw_unicode_escape rot_13 undefined unicode_escape utf_16 utf_16_be utf_16_le utf_32
    utf_32_be utf_32_le utf_7 utf_8 utf_8_sig
""".split()
"""Text encodings, which ``str.encode`` imports when it first meets one."""

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
