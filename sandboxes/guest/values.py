"""Values as JSON, both ways, with exact types: ``decode(encode(value))`` is ``value``.

``None``, ``bool``, ``int``, ``float``, ``str``, ``list`` and ``dict`` with string keys are plain JSON. What
JSON has no word for is an object with one key that starts with ``$``:

==================  ===================================================================
``{"$tuple": …}``   a tuple, as a list
``{"$set": …}``     a set, as a list in a fixed order; ``$frozenset`` alike
``{"$dict": …}``    a dict with other keys, or with a key that starts with ``$``: a list of pairs
``{"$int": …}``     an integer of more than 1,024 bits, in hexadecimal
``{"$float": …}``   ``"nan"``, ``"inf"`` or ``"-inf"``
``{"$complex": …}``  the real and the imaginary part
``{"$str": …}``     text with lone surrogates, as UTF-8 with ``surrogatepass``, in hexadecimal
``{"$bytes": …}``   bytes, in hexadecimal
``{"$ndarray": …}``  a numpy array: ``dtype``, ``shape`` and ``data``, its elements in C order
==================  ===================================================================

A numpy scalar travels as the Python scalar of the same value, an instance of a subclass (named tuple,
``Counter``, ``IntEnum`` …) as its base type. Nothing else is data. The text is strict JSON (RFC 8259): other
readers can read it. numpy is imported only where an array is decoded.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

MAX_DEPTH = 100
"""Containers inside containers, at most."""

_HUGE = 1 << 1024
_SURROGATE = re.compile("[\ud800-\udfff]")
_DTYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 "
    "float16 float32 float64 complex64 complex128".split()
)
_write = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":")).encode
_write_sorted = json.JSONEncoder(
    check_circular=False, allow_nan=False, separators=(",", ":"), sort_keys=True
).encode


class NotDataError(ValueError):
    """A value, or a JSON text, that is not data as this module defines it."""


class TooLargeError(NotDataError):
    """A value that is data, but too much of it."""

    def __init__(self) -> None:
        super().__init__("the value is too large")


def encode(value: Any, *, max_size: int | None = None) -> JsonValue:
    """Turn a value into what ``json`` can write.

    Raises ``NotDataError`` for what is not data, is nested deeper than ``MAX_DEPTH`` or contains itself, and
    ``TooLargeError`` for more than ``max_size`` elements and characters; its JSON text has more than these.
    """
    return _Encoder(max_size).encode(value)


def decode(encoded: JsonValue) -> Any:
    """Turn parsed JSON back into the value. Every container is new. Raises ``NotDataError``."""
    try:
        return _decode(encoded)
    except NotDataError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise NotDataError(f"not the JSON of a value: {error}") from error


def dumps(value: Any) -> str:
    """Write a value as JSON text. Raises ``NotDataError``."""
    return _write(encode(value))


def loads(text: str | bytes) -> Any:
    """Read a value from JSON text. Raises ``NotDataError``."""
    try:
        encoded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotDataError(f"not JSON: {error}") from error
    return decode(encoded)


def canonical(value: Any) -> str:
    """Write a value as the one JSON text that equal values of equal types share, whatever a dict's order.

    Fit for content keys. ``1``, ``1.0`` and ``True`` differ, and so do a tuple and a list. Raises
    ``NotDataError``.
    """
    return _write_sorted(_Encoder(None, ordered=True).encode(value))


def write_json(encoded: JsonValue) -> str:
    """Write what ``encode`` gave as compact JSON text."""
    return _write(encoded)


class _Encoder:
    """Encodes one value. ``ordered`` sorts the pairs of dicts."""

    __slots__ = ("_left", "_open", "_ordered")

    def __init__(self, max_size: int | None, *, ordered: bool = False) -> None:
        self._left = math.inf if max_size is None else max_size
        self._open: set[int] = set()  # identities of the containers around the present value
        self._ordered = ordered

    def encode(self, value: Any) -> JsonValue:
        kind = type(value)
        self._spend(1)
        if value is None or kind is bool:
            return value  # type: ignore[no-any-return]
        if kind is int:
            return value if -_HUGE < value < _HUGE else {"$int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is str:
            return self._text(value)
        # The methods of the base types are called, never a subclass's own: a program cannot run code here,
        # nor show one value and send another.
        if issubclass(kind, (list, tuple, set, frozenset, dict)):
            return self._container(value, kind)
        if issubclass(kind, (bytes, complex)):
            return self._bytes(value) if issubclass(kind, bytes) else self._complex(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, numpy.ndarray):
            return self._array(numpy.asarray(value))
        if numpy is not None and issubclass(kind, numpy.generic):
            scalar = numpy.generic.item(value)
            if not isinstance(scalar, numpy.generic):  # a long double has no Python equal
                return self.encode(scalar)
        for base in (int, float, str):
            if issubclass(kind, base):
                return self.encode(_plain(base, value))
        raise NotDataError(_explain(kind))

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise TooLargeError

    def _text(self, value: str) -> JsonValue:
        self._spend(len(value))
        if value.isascii() or not _SURROGATE.search(value):
            return value
        return {"$str": value.encode("utf-8", "surrogatepass").hex()}

    def _bytes(self, value: bytes) -> JsonValue:
        self._spend(bytes.__len__(value))
        return {"$bytes": bytes.hex(value)}

    def _complex(self, value: complex) -> JsonValue:
        plain = complex.__pos__(value)
        return {"$complex": [self.encode(plain.real), self.encode(plain.imag)]}

    def _container(self, value: Any, kind: type) -> JsonValue:
        if id(value) in self._open:
            raise NotDataError("the value contains itself")
        if len(self._open) >= MAX_DEPTH:
            raise NotDataError(f"the value is nested more than {MAX_DEPTH} deep")
        self._open.add(id(value))
        encoded: JsonValue
        if issubclass(kind, list):
            encoded = self._items(list.__iter__(value))
        elif issubclass(kind, tuple):
            encoded = {"$tuple": self._items(tuple.__iter__(value))}
        elif issubclass(kind, dict):
            encoded = self._dict(value, kind)
        else:
            base, tag = (set, "$set") if issubclass(kind, set) else (frozenset, "$frozenset")
            encoded = {tag: sorted(self._items(base.__iter__(value)), key=_write_sorted)}
        self._open.discard(id(value))
        return encoded

    def _items(self, items: Iterable[Any]) -> list[JsonValue]:
        encode = self.encode
        return [encode(item) for item in items]

    def _dict(self, value: dict[Any, Any], kind: type) -> JsonValue:
        # An OrderedDict keeps an order of its own beside that of the dict below it.
        items = OrderedDict.items if issubclass(kind, OrderedDict) else dict.items
        pairs: list[list[JsonValue]] = [[self.encode(key), self.encode(item)] for key, item in items(value)]  # type: ignore[arg-type]
        plain = {key: item for key, item in pairs if type(key) is str and not key.startswith("$")}
        if len(plain) == len(pairs):
            return plain
        if self._ordered:
            pairs.sort(key=_write_sorted)
        return {"$dict": pairs}  # type: ignore[dict-item]

    def _array(self, array: Any) -> JsonValue:
        dtype = array.dtype.name
        if dtype not in _DTYPES:
            raise NotDataError(f"a numpy array of dtype {dtype} is not data; return its .tolist()")
        self._spend(array.size)
        data = self._items(array.ravel().tolist())
        return {"$ndarray": {"dtype": dtype, "shape": list(array.shape), "data": data}}


def _plain(base: type, value: Any) -> Any:
    """Give an instance of a subclass of ``int``, ``float`` or ``str`` as the base type itself."""
    if base is int:
        return int.__pos__(value)
    return float.__pos__(value) if base is float else str.__str__(value)


def _explain(kind: type) -> str:
    name = kind.__name__
    if any("__iter__" in base.__dict__ for base in kind.__mro__):
        return f"a value of type {name} is not data; return list(...) of it"
    return f"a value of type {name} is not data"


def _decode(encoded: Any) -> Any:
    kind = type(encoded)
    if kind is list:
        return [_decode(item) for item in encoded]
    if kind is not dict:
        return encoded
    for key in encoded:
        if key.startswith("$"):
            if len(encoded) == 1 and key in _DECODERS:
                return _DECODERS[key](encoded[key])
            raise NotDataError(f"unknown tag {key[:50]!r}")
    return {key: _decode(item) for key, item in encoded.items()}


def _decode_items(encoded: Any) -> list[Any]:
    if type(encoded) is not list:
        raise NotDataError(f"expected a list, got {type(encoded).__name__}")
    return [_decode(item) for item in encoded]


def _decode_dict(encoded: Any) -> dict[Any, Any]:
    return {_decode(key): _decode(value) for key, value in encoded}


def _decode_complex(encoded: Any) -> complex:
    real, imaginary = _decode_items(encoded)
    return complex(real, imaginary)


def _decode_array(encoded: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - most values hold no array, and numpy takes long to import

    if encoded["dtype"] not in _DTYPES:
        raise NotDataError(f"unknown dtype {str(encoded['dtype'])[:50]!r}")
    return np.array(_decode_items(encoded["data"]), dtype=encoded["dtype"]).reshape(encoded["shape"])


def _decode_float(encoded: Any) -> float:
    if encoded not in ("nan", "inf", "-inf"):
        raise NotDataError(f"not a float: {str(encoded)[:50]!r}")
    return float(encoded)


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "$tuple": lambda encoded: tuple(_decode_items(encoded)),
    "$set": lambda encoded: set(_decode_items(encoded)),
    "$frozenset": lambda encoded: frozenset(_decode_items(encoded)),
    "$dict": _decode_dict,
    "$int": lambda encoded: int(encoded, 16),
    "$float": _decode_float,
    "$complex": _decode_complex,
    "$str": lambda encoded: bytes.fromhex(encoded).decode("utf-8", "surrogatepass"),
    "$bytes": bytes.fromhex,
    "$ndarray": _decode_array,
}
