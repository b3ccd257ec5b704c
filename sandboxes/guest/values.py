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
import operator
import re
import sys
from collections import OrderedDict
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]

MAX_DEPTH = 100
"""Containers inside containers, at most."""

_MAX_ALIKE = 200  # elements of a set that share a hash: each is compared with all before it
_MAX_EMPTY = 100  # empty lists in the ``tolist()`` of an array without elements

_TOO_DEEP = f"the value is nested more than {MAX_DEPTH} deep"
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

    Raises ``NotDataError`` for what is not data, is nested deeper than ``MAX_DEPTH``, contains itself or is
    out of proportion to its text (a set of colliding hashes, an array of very many empty rows), and
    ``TooLargeError`` for more than ``max_size`` elements and characters; its JSON text has more than these.
    """
    return _Encoder(max_size).encode(value)


def decode(encoded: JsonValue) -> Any:
    """Turn parsed JSON back into the value. Every container is new.

    Raises ``NotDataError`` for what is not the JSON of a value, and, as ``encode`` does, for a value that is
    nested too deep or out of proportion to its text.
    """
    try:
        return _decode(encoded, 0)
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
            raise NotDataError(_TOO_DEEP)
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
            items = self._items(base.__iter__(value))
            _check_elements(items)
            encoded = {tag: sorted(items, key=_write_sorted)}
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
        _check_elements([key for key, _ in pairs])
        if self._ordered:
            pairs.sort(key=_write_sorted)
        return {"$dict": pairs}  # type: ignore[dict-item]

    def _array(self, array: Any) -> JsonValue:
        dtype = array.dtype.name
        if dtype not in _DTYPES:
            raise NotDataError(f"a numpy array of dtype {dtype} is not data; return its .tolist()")
        _check_shape(array.shape)
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


def _check_shape(shape: tuple[int, ...]) -> None:
    if 0 in shape and math.prod(takewhile(bool, shape)) > _MAX_EMPTY:
        raise NotDataError(f"a numpy array of shape {shape} is too large for one without elements")


def _check_elements(encoded: list[JsonValue]) -> None:
    """Refuse encoded elements or keys that ``decode`` would; no ``__hash__`` of a program is called."""
    if len(encoded) > _MAX_ALIKE:
        decode({"$set": encoded})


def _check_hashes(elements: list[Any]) -> None:
    """Refuse elements of which so many share a hash that a set of them takes quadratic time to build."""
    if len(elements) > _MAX_ALIKE:
        hashes = sorted(map(hash, elements))  # a set of them would be as slow
        if any(map(operator.eq, hashes, hashes[_MAX_ALIKE:])):
            raise NotDataError(f"more than {_MAX_ALIKE} elements of a set or keys of a dict share a hash")


def _decode(encoded: Any, depth: int) -> Any:
    """Decode what lies inside ``depth`` containers."""
    kind = type(encoded)
    if kind is list:
        return _decode_items(encoded, _inside(depth))
    if kind is not dict:
        return encoded
    for key in encoded:
        if key.startswith("$"):
            if len(encoded) == 1 and key in _DECODERS:
                return _DECODERS[key](encoded[key], depth)
            raise NotDataError(f"unknown tag {key[:50]!r}")
    inside = _inside(depth)
    return {key: _decode(item, inside) for key, item in encoded.items()}


def _inside(depth: int) -> int:
    """Give the depth inside one more container."""
    if depth >= MAX_DEPTH:
        raise NotDataError(_TOO_DEEP)
    return depth + 1


def _decode_items(encoded: Any, depth: int) -> list[Any]:
    if type(encoded) is not list:
        raise NotDataError(f"expected a list, got {type(encoded).__name__}")
    return [_decode(item, depth) for item in encoded]


def _decode_elements(encoded: Any, depth: int) -> list[Any]:
    elements = _decode_items(encoded, _inside(depth))
    _check_hashes(elements)
    return elements


def _decode_dict(encoded: Any, depth: int) -> dict[Any, Any]:
    inside = _inside(depth)
    pairs = [(_decode(key, inside), _decode(value, inside)) for key, value in encoded]
    _check_hashes([key for key, _ in pairs])
    return dict(pairs)


def _decode_complex(encoded: Any, depth: int) -> complex:
    real, imaginary = _decode_items(encoded, depth)
    if complex in (type(real), type(imaginary)):
        raise NotDataError("the parts of a complex number are real")
    return complex(real, imaginary)


def _decode_array(encoded: Any, depth: int) -> Any:
    try:
        import numpy as np  # noqa: PLC0415 - most values hold no array, and numpy takes long to import
    except ImportError as error:
        raise NotDataError("an array, which needs numpy to be read") from error
    dtype, shape = encoded["dtype"], encoded["shape"]
    if dtype not in _DTYPES:
        raise NotDataError(f"unknown dtype {str(dtype)[:50]!r}")
    if type(shape) is not list or not all(type(length) is int and length >= 0 for length in shape):
        raise NotDataError("the shape of an array is a list of lengths")
    items = _decode_items(encoded["data"], depth)
    known = (bool, int, float, complex) if dtype.startswith("complex") else (bool, int, float)
    if not all(type(item) in known for item in items):
        raise NotDataError("an array holds numbers and truth values")
    with np.errstate(all="ignore"):  # a number too large for its dtype becomes infinite
        array = np.array(items, dtype=dtype).reshape(shape)
    _check_shape(array.shape)
    return array


def _decode_float(encoded: Any) -> float:
    if encoded not in ("nan", "inf", "-inf"):
        raise NotDataError(f"not a float: {str(encoded)[:50]!r}")
    return float(encoded)


_DECODERS: dict[str, Callable[[Any, int], Any]] = {
    "$tuple": lambda encoded, depth: tuple(_decode_items(encoded, _inside(depth))),
    "$set": lambda encoded, depth: set(_decode_elements(encoded, depth)),
    "$frozenset": lambda encoded, depth: frozenset(_decode_elements(encoded, depth)),
    "$dict": _decode_dict,
    "$int": lambda encoded, _: int(encoded, 16),
    "$float": lambda encoded, _: _decode_float(encoded),
    "$complex": _decode_complex,
    "$str": lambda encoded, _: bytes.fromhex(encoded).decode("utf-8", "surrogatepass"),
    "$bytes": lambda encoded, _: bytes.fromhex(encoded),
    "$ndarray": _decode_array,
}
