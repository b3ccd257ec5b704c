"""Values as JSON, both ways, with exact types. See ``sandboxes.guest.values`` for the format.

``encode`` and ``decode`` turn a value into what ``json`` can write and back; ``dumps`` and ``loads`` do the
same with text; ``canonical`` is the one text of a value, fit for content keys. All raise ``NotDataError``, a
``ValueError``.
"""

from sandboxes.guest.values import (
    MAX_DEPTH,
    JsonValue,
    NotDataError,
    TooLargeError,
    canonical,
    decode,
    dumps,
    encode,
    loads,
)

__all__ = [
    "MAX_DEPTH",
    "JsonValue",
    "NotDataError",
    "TooLargeError",
    "canonical",
    "decode",
    "dumps",
    "encode",
    "loads",
]
