"""Values as JSON: the way there and back is the identity, and what is not data is refused."""

from __future__ import annotations

import collections
import decimal
import enum
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sandboxes.values import MAX_DEPTH, NotDataError, canonical, decode, dumps, encode, loads

texts = st.text() | st.text(st.characters(categories=["Cs", "L"])) | st.just("$tuple")
numbers = st.integers() | st.floats() | st.complex_numbers() | st.integers(1 << 1020, 1 << 1030)
scalars = st.none() | st.booleans() | numbers | texts | st.binary()
hashable = st.recursive(
    scalars,
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
arrays = npst.arrays(
    npst.boolean_dtypes()
    | npst.integer_dtypes(endianness="=")
    | npst.unsigned_integer_dtypes(endianness="=")
    | npst.floating_dtypes(endianness="=", sizes=(16, 32, 64))
    | npst.complex_number_dtypes(endianness="=", sizes=(64, 128)),
    npst.array_shapes(min_dims=0, min_side=0, max_side=3),
)
values = st.recursive(
    scalars | arrays | st.sets(hashable, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(texts, inner, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
    ),
    max_leaves=15,
)


def identical(value, other) -> bool:
    """Whether two values have equal types and order all the way down; nan is nan, and 0.0 is not -0.0."""
    if type(value) is not type(other):
        return False
    if isinstance(value, float):
        same_sign = math.copysign(1, value) == math.copysign(1, other)
        return (value == other and same_sign) or (math.isnan(value) and math.isnan(other))
    if isinstance(value, complex):
        return identical(value.real, other.real) and identical(value.imag, other.imag)
    if isinstance(value, (list, tuple)):
        return len(value) == len(other) and all(map(identical, value, other))
    if isinstance(value, dict):
        return identical(list(value.items()), list(other.items()))
    if isinstance(value, (set, frozenset)):
        return len(value) == len(other) and all(any(identical(x, y) for y in other) for x in value)
    if isinstance(value, np.ndarray):
        alike = (value.dtype, value.shape) == (other.dtype, other.shape)
        return alike and identical(value.ravel().tolist(), other.ravel().tolist())
    return value == other


class TestThereAndBack:
    @given(values)
    def test_is_the_identity(self, value):
        assert identical(decode(encode(value)), value)
        assert identical(loads(dumps(value)), value)

    @given(values)
    def test_the_text_is_strict_ascii_json(self, value):
        text = dumps(value)
        assert text.isascii()
        json.loads(text, parse_constant=pytest.fail)

    @given(st.lists(st.integers() | st.none() | st.text(st.characters(exclude_categories=["Cs"]))))
    def test_what_is_json_stays_as_it_is(self, value):
        assert encode(value) == value

    def test_decoding_makes_new_containers(self):
        encoded = encode({"a": [1]})
        first, second = decode(encoded), decode(encoded)
        first["a"].append(2)
        assert second == {"a": [1]}


class TestBaseTypes:
    @pytest.mark.parametrize(
        ("value", "plain"),
        [
            (np.int64(3), 3),
            (np.float64(0.5), 0.5),
            (np.float16(0.5), 0.5),
            (np.bool_(False), False),
            (np.str_("a"), "a"),
            (np.bytes_(b"a"), b"a"),
            (np.complex64(1j), 1j),
            (collections.Counter("aab"), {"a": 2, "b": 1}),
            (collections.defaultdict(list, {"a": []}), {"a": []}),
            (collections.namedtuple("Point", "x y")(1, 2), (1, 2)),
            (enum.IntEnum("Colour", "RED").RED, 1),
            (enum.StrEnum("Word", ["ONE"]).ONE, "one"),
            (type("Number", (float,), {})(-0.0), -0.0),
            (type("Set", (set,), {})({1}), {1}),
            ({np.int64(1): np.int64(2)}, {1: 2}),
            (np.array([1, 2], dtype=">i4"), np.array([1, 2], dtype="int32")),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_a_subclass_travels_as_its_base(self, value, plain):
        assert identical(decode(encode(value)), plain)

    def test_an_ordered_dict_keeps_its_own_order(self):
        ordered = collections.OrderedDict(a=1, b=2)
        ordered.move_to_end("a")
        assert list(decode(encode(ordered))) == ["b", "a"]

    def test_a_subclass_cannot_say_it_is_something_else(self):
        liar = type("Liar", (list,), {"__iter__": lambda self: iter([9]), "__len__": lambda self: 9})
        assert decode(encode(liar([1, 2]))) == [1, 2]
        impostor = type("Impostor", (), {"__class__": property(lambda self: list)})
        with pytest.raises(NotDataError, match="Impostor"):
            encode(impostor())


class TestNotData:
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (object(), "a value of type object is not data"),
            (print, "builtin_function_or_method is not data"),
            (int, "type is not data"),
            (decimal.Decimal(1), "Decimal is not data"),
            (map(str, []), r"map is not data; return list\(\.\.\.\) of it"),
            (range(3), r"range is not data; return list\(\.\.\.\) of it"),
            ({}.keys(), r"dict_keys is not data; return list"),
            (np.array(["a"]), "dtype str.* is not data"),
            (np.array([object()]), "dtype object is not data"),
            (np.longdouble(1), "is not data"),
            ([{"a": (object(),)}], "object is not data"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_is_refused_by_name(self, value, message):
        with pytest.raises(NotDataError, match=message):
            encode(value)

    def test_depth_has_a_limit(self):
        value: list = []
        for _ in range(MAX_DEPTH - 1):
            value = [value]
        assert decode(encode(value)) == value
        with pytest.raises(NotDataError, match="nested more than 100 deep"):
            encode([value])

    @pytest.mark.parametrize("core", [1, 1j, math.nan, "\ud800", np.array([1j])], ids=repr)
    @pytest.mark.parametrize(
        ("wrap", "wrap_encoded"),
        [
            (lambda x: [x], lambda x: [x]),
            (lambda x: (x,), lambda x: {"$tuple": [x]}),
            (lambda x: {"a": x}, lambda x: {"a": x}),
            (lambda x: {1: x}, lambda x: {"$dict": [[1, x]]}),
        ],
        ids=["list", "tuple", "dict", "dict with other keys"],
    )
    def test_both_ways_count_depth_alike(self, core, wrap, wrap_encoded):
        value = core
        for _ in range(MAX_DEPTH):
            value = wrap(value)
        encoded = encode(value)
        assert identical(decode(encoded), value)
        for refused in (lambda: encode(wrap(value)), lambda: decode(wrap_encoded(encoded))):
            with pytest.raises(NotDataError, match="nested more than 100 deep"):
                refused()

    @pytest.mark.parametrize("tag", ["$set", "$frozenset", "$dict"])
    def test_colliding_hashes_are_refused_both_ways(self, tag):
        def numbers(count: int) -> list[int]:
            return [i * (2**61 - 1) for i in range(count)]

        def encoded(count: int) -> dict:
            return {tag: [[i, 0] for i in numbers(count)] if tag == "$dict" else numbers(count)}

        make = {"$set": set, "$frozenset": frozenset, "$dict": lambda keys: dict.fromkeys(keys, 0)}[tag]
        assert identical(decode(encoded(200)), make(numbers(200)))
        for refused in (lambda: encode(make(numbers(201))), lambda: decode(encoded(20_000))):
            with pytest.raises(NotDataError, match="share a hash"):
                refused()

    def test_large_sets_are_fine(self):
        lattice = {(x, y) for x in range(-60, 60) for y in range(-60, 60)}  # -1 and -2 have one hash
        assert identical(decode(encode([lattice, dict.fromkeys(lattice, 0)]))[1], dict.fromkeys(lattice, 0))
        assert decode(encode(lattice)) == lattice

    @pytest.mark.parametrize("shape", [(100, 0), (0, 10**9), (10, 10, 0), (1, 0, 0)])
    def test_an_array_without_elements_keeps_its_shape(self, shape):
        assert decode(encode(np.zeros(shape))).shape == shape

    @pytest.mark.parametrize("shape", [(10**7, 0), (11, 10, 0, 3)])
    def test_an_array_of_very_many_empty_rows_is_refused(self, shape):
        with pytest.raises(NotDataError, match=r"a numpy array of shape .* is too large"):
            encode(np.zeros(shape))

    def test_a_cycle_is_noticed(self):
        cycle: dict = {}
        cycle["self"] = [cycle]
        with pytest.raises(NotDataError, match="contains itself"):
            encode(cycle)

    def test_a_shared_value_is_no_cycle(self):
        shared = [1]
        assert decode(encode([shared, shared])) == [[1], [1]]

    def test_size_counts_what_is_shared_as_often_as_it_is_written(self):
        value: list = []
        for _ in range(60):
            value = [value, value]
        with pytest.raises(NotDataError, match="too large"):
            encode(value, max_size=1000)

    @given(values)
    def test_size_is_a_lower_bound_of_the_text(self, value):
        assert identical(decode(encode(value, max_size=len(dumps(value)))), value)


class TestDecoding:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[" * 100_000,
            '{"$tuple": 1}',
            '{"$tuple": [1], "a": 2}',
            '{"$unknown": 1}',
            '{"$set": [[1]]}',
            '{"$dict": [[1]]}',
            '{"$dict": [[{}, 1]]}',
            '{"$int": 3}',
            '{"$int": "x"}',
            '{"$float": "1"}',
            '{"$float": []}',
            '{"$complex": [1]}',
            '{"$complex": ["a", 1]}',
            '{"$str": "zz"}',
            '{"$bytes": 1}',
            '{"$ndarray": 1}',
            '{"$ndarray": {"dtype": "object", "shape": [0], "data": []}}',
            '{"$ndarray": {"dtype": ["int8"], "shape": [0], "data": []}}',
            '{"$ndarray": {"dtype": "int8", "shape": [2], "data": [1]}}',
            '{"$ndarray": {"dtype": "int8", "shape": [1], "data": [300]}}',
            '{"$ndarray": {"dtype": "int8", "shape": [1], "data": ["a"]}}',
            '{"$ndarray": {"dtype": "int8", "shape": ["a"], "data": [1]}}',
            '{"$ndarray": {"dtype": "int8", "shape": [-1], "data": [1]}}',
            '{"$ndarray": {"dtype": "int8", "shape": [true], "data": [1]}}',
            '{"$ndarray": {"dtype": "int8", "shape": [1.0], "data": [1]}}',
            '{"$ndarray": {"dtype": "int8", "shape": 1, "data": [1]}}',
            '{"$ndarray": {"dtype": "int8", "shape": [10000000, 0], "data": []}}',
            '{"$ndarray": {"dtype": "int8", "shape": [0, 1%s], "data": []}}' % ("0" * 400),
            "[" * 101 + "]" * 101,
            '{"$complex": [' * 300 + "1" + ", 1]}" * 300,
            "1" * 5000,
        ],
    )
    def test_nonsense_is_refused(self, text):
        with pytest.raises(NotDataError):
            loads(text)

    @given(
        st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(texts, x))
    )
    def test_any_json_is_read_or_refused(self, encoded):
        try:
            value = decode(encoded)
        except NotDataError:
            return
        assert identical(decode(encode(value)), value)


class TestCanonical:
    @given(st.dictionaries(hashable, values, max_size=5), st.randoms())
    def test_does_not_depend_on_the_order_of_a_dict(self, value, random):
        items = list(value.items())
        random.shuffle(items)
        assert canonical(dict(items)) == canonical(value)

    @given(st.sets(hashable, max_size=5), st.randoms())
    def test_a_set_has_one_order(self, value, random):
        items = list(value)
        random.shuffle(items)
        assert dumps(set(items)) == dumps(value)

    def test_tells_types_apart(self):
        alike = [1, 1.0, True, (1,), [1], {1}, "1", b"1", 1 + 0j, np.array([1]), np.array([1.0]), 0.0, -0.0]
        assert len({canonical(value) for value in alike}) == len(alike)


def test_numpy_is_imported_only_for_arrays():
    code = (
        "import sys; from sandboxes.values import dumps, loads; loads(dumps([1, (2.0, {3})])); "
        "assert 'numpy' not in sys.modules; print(loads(sys.argv[1]))"
    )
    array = '{"$ndarray":{"dtype":"int8","shape":[2],"data":[1,2]}}'
    done = subprocess.run([sys.executable, "-c", code, array], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[1 2]\n", "")
