"""Which programs are certain to do in Monty what they do in CPython: an allow-list over the AST.

Whatever raises, runs out of budget or is unsupported in Monty runs on CPython, so the list only has to keep
out programs that *both* run to the end, with different values. What Monty 1.4 is known to do differently, and
how the list keeps it out:

- ``map``, ``filter``, ``zip``, ``reversed``, ``enumerate`` and generator expressions are lists, evaluated at
  once: they may stand only where they are used up at once, and only in programs whose every change in place
  is to a container that has one name and was made in the same function;
- sets have another order: they may stand only where the order cannot show;
- a dict keeps the last of equal keys, not the first (``True`` and ``1``): in programs with dicts, truth
  values may stand only where they are tested;
- annotations are not evaluated: only those are allowed that cannot fail;
- ranges, views and functions leave Monty as text: they may stand only where they are used up, and
  ``certain_value`` refuses values that look like such a text;
- ``*=`` makes a new list: only a name that always holds a number may have it;
- searches that start beyond the end find something: they have one argument;
- ``str`` of a value, and a look-up of one, know no depth: no loop may nest what it made before;
- a text of thousands of zeros is a number: no text is multiplied in programs that call ``int``;
- a dict takes a slice for a key: no slice is set in programs with dicts;
- ``__name__`` is ``__main__``: no name with two underscores is allowed.

Whatever is not known to be alike is left out: ``try`` (Monty raises more), classes, ``is`` but with ``None``,
floats other than as a quotient that is returned or made an integer at once, text beyond ASCII, formatting.
"""

from __future__ import annotations

import ast
import builtins
import re
import warnings
from typing import Any

LONGEST_SOURCE = 8_000
"""Characters of the longest program that is looked at."""

_STATEMENTS = (
    ast.FunctionDef, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For, ast.While, ast.If,
    ast.Expr,
    ast.Pass, ast.Break, ast.Continue, ast.Raise, ast.Assert, ast.ImportFrom,
)  # fmt: skip
_EXPRESSIONS = (
    ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.Lambda, ast.IfExp, ast.Dict, ast.Set, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp, ast.Compare, ast.Call, ast.Constant, ast.Attribute, ast.Subscript,
    ast.Starred, ast.Name, ast.List, ast.Tuple, ast.Slice, ast.JoinedStr, ast.FormattedValue,
)  # fmt: skip
_PARTS = (
    ast.Module, ast.arguments, ast.arg, ast.keyword, ast.comprehension, ast.alias, ast.expr_context,
    ast.boolop,
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.LShift, ast.RShift, ast.BitOr,
    ast.BitXor, ast.BitAnd, ast.unaryop, ast.cmpop,
)  # fmt: skip
_ALLOWED = _STATEMENTS + _EXPRESSIONS + _PARTS

_LAZY = frozenset({"map", "filter", "zip", "reversed", "enumerate"})
_SETS = frozenset({"set"})
_BUILTINS = _LAZY | _SETS | {
    "len", "range", "sorted", "sum", "min", "max", "abs", "any", "all", "list", "tuple", "dict", "int", "str",
    "ord", "bool", "isinstance", "divmod", "round",
    "ValueError", "TypeError", "IndexError", "KeyError", "Exception",
}  # fmt: skip
_FUNCTION_VALUES = frozenset(
    {"len", "int", "str", "abs", "sum", "min", "max", "list", "tuple", "sorted", "ord"}
)
_EAGER = frozenset({"list", "tuple", "sorted", "sum", "min", "max", "any", "all", "set"})
"""Builtins that use up their one argument at once."""

_CHANGING = frozenset(
    {"append", "extend", "insert", "pop", "remove", "sort", "reverse", "clear", "update", "setdefault", "add"}
)
_READING = frozenset(
    {"index", "count", "copy", "get", "keys", "values", "items", "split", "join", "upper", "lower", "strip",
     "lstrip", "rstrip", "replace", "startswith", "endswith", "find", "isdigit", "isalpha", "isupper",
    "islower",
     "isalnum", "isspace"}
)  # fmt: skip
_SEARCHES = frozenset({"find", "index", "count", "startswith", "endswith"})
_VIEWS = frozenset({"keys", "values", "items"})
_TRUTHS = frozenset(
    {"startswith", "endswith", "isdigit", "isalpha", "isupper", "islower", "isalnum", "isspace"}
)
_TYPES = frozenset({"int", "str", "bool", "float", "list", "dict", "tuple", "set", "object"})
_GENERICS = {
    "list": 1, "List": 1, "set": 1, "Set": 1, "Optional": 1, "Sequence": 1, "Iterable": 1,
    "dict": 2, "Dict": 2, "tuple": 0, "Tuple": 0, "Union": 0,
}  # fmt: skip
_FRESH_CALLS = frozenset(
    {"len", "sorted", "list", "dict", "int", "str", "abs", "ord", "bool", "set", "round", "isinstance"}
)
_FRESH = (
    ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.Constant, ast.Compare, ast.BinOp, ast.JoinedStr,
    ast.Set,
    ast.SetComp, ast.Tuple,
)  # fmt: skip
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CONTROLS = frozenset("\0\r\f\v\x1c\x1d\x1e")
_LOOKS_LIKE_REPR = re.compile(r"\.\.\.|range\(|dict_|<")


class Uncertain(Exception):  # noqa: N818 - no error: the program runs elsewhere
    """A program that is not certain to do the same; the message says why."""


def check(source: str, entry_point: str, *, truths: bool, dicts: bool) -> None:
    """Raise ``Uncertain`` unless the program is certain to do in Monty what it does in CPython.

    ``truths`` and ``dicts`` say whether there are truth values and dicts inside its inputs. Parses an
    untrusted program, which can take a parser down: for a process that can be spared.
    """
    if (
        len(source) > LONGEST_SOURCE
        or not source.isascii()
        or "\0" in source
        or "\r" in source
        or "\f" in source
    ):
        raise Uncertain("its text")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compile(tree, "program.py", "exec", dont_inherit=True)  # finds what the parser alone does not
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Uncertain("its syntax") from error
    _Check(tree, entry_point, truths, dicts).module()


def certain_inputs(values: Any) -> bool:
    """Whether inputs, parsed from JSON but not decoded, are such as both interpreters treat alike."""
    kind = type(values)
    if values is None or kind is bool:
        return True
    if kind is int:
        return bool(-(2**63) <= values < 2**63)
    if kind is str:
        return bool(values.isascii() and values.isprintable() and "%" not in values)
    if kind is list:
        return all(map(certain_inputs, values))
    if kind is dict:
        if len(values) == 1 and "$tuple" in values:
            return certain_inputs(values["$tuple"])
        return not any(key.startswith("$") or not certain_inputs(key) for key in values) and all(
            map(certain_inputs, values.values())
        )
    return False


def has_truths(values: Any) -> bool:
    """Whether there is a truth value inside inputs, which are parsed from JSON but not decoded."""
    if type(values) is list:
        return any(map(has_truths, values))
    if type(values) is dict:
        return any(map(has_truths, values.values()))
    return type(values) is bool


def has_dicts(values: Any) -> bool:
    """Whether there is a dict inside inputs, which are parsed from JSON but not decoded."""
    if type(values) is dict:
        return "$tuple" not in values or has_dicts(values["$tuple"])
    return type(values) is list and any(map(has_dicts, values))


def certain_value(value: Any, size: int) -> bool:
    """Whether what Monty gave is the value itself, and not the text it gives for a range, say.

    One with more than ``size`` parts is not certain: a few lines can share a list a million times over.
    """
    left = [size]

    def certain(value: Any) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return False
        kind = type(value)
        if kind is str:
            return value.isascii() and not _LOOKS_LIKE_REPR.search(value)
        if kind in (list, tuple, set):
            return all(map(certain, value))
        if kind is dict:
            return all(map(certain, value)) and all(map(certain, value.values()))
        return value is None or kind in (bool, int, float)

    return certain(value)


class _Check:
    """One program."""

    def __init__(self, tree: ast.Module, entry_point: str, truths: bool, dicts: bool) -> None:
        self._tree = tree
        self._entry_point = entry_point
        self._truths = truths
        self._dicts = dicts
        self._parents: dict[ast.AST, ast.AST] = {}
        self._nodes: list[ast.AST] = []
        self._annotations: set[ast.AST] = set()
        self._bound: set[str] = set()
        self._imported: set[str] = set()
        self._functions: dict[str, ast.FunctionDef] = {}
        self._sets: dict[ast.AST, bool] = {}

    def module(self) -> None:
        for statement in self._tree.body:
            self._top(statement)
        if self._entry_point not in self._functions:
            raise Uncertain("its entry point")
        self._collect(self._tree)
        clash = self._bound & frozenset(dir(builtins))
        if clash:
            raise Uncertain(f"a new meaning for {min(clash)}")
        self._find_sets()
        self._sets.clear()
        if not self._stays_shallow():
            raise Uncertain("a value that may nest without end")
        if any(_calls(node, "int") for node in self._nodes) and any(map(_repeats_text, self._nodes)):
            raise Uncertain("a long text that is made a number")
        lazy = False
        for node in self._nodes:
            self._node(node)
            lazy = lazy or self._is_lazy(node)
        if lazy and not self._changes_are_local():
            raise Uncertain("laziness beside changes")
        if self._dicts or any(map(self._makes_dict, self._nodes)):
            self._truths_are_only_tested()
            if any(_stores_slice(node) for node in self._nodes):
                raise Uncertain("a slice that is set beside a dict")

    # Names and places

    def _top(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef):
            if statement.name in self._functions:
                raise Uncertain("a function defined twice")
            self._functions[statement.name] = statement
        elif isinstance(statement, ast.ImportFrom):
            if statement.module != "typing" or statement.level:
                raise Uncertain(f"an import of {statement.module}")
            for alias in statement.names:
                if alias.name not in _GENERICS and alias.name != "Any":
                    raise Uncertain(f"an import of {alias.name}")
                if alias.asname is not None:
                    raise Uncertain("an import under another name")
                self._imported.add(alias.name)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            raise Uncertain(f"{type(statement).__name__} in the module")

    def _collect(self, node: ast.AST) -> None:
        for annotation in _annotations_of(node):
            self._annotation(annotation)
            self._annotations.add(annotation)
        if isinstance(node, ast.FunctionDef) and self._functions.get(node.name) is not node:
            raise Uncertain("a function in a function")
        if isinstance(node, ast.FunctionDef):
            self._bound.add(node.name)
        elif isinstance(node, ast.arg):
            self._bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._bound.add(node.id)
        self._nodes.append(node)
        for child in ast.iter_child_nodes(node):
            if child not in self._annotations:
                self._parents[child] = node
                self._collect(child)

    def _annotation(self, node: ast.expr) -> None:
        """Refuse an annotation that could fail: CPython evaluates it, Monty does not."""
        if isinstance(node, ast.Constant) and node.value is None:
            return
        if isinstance(node, ast.Name) and (node.id in _TYPES or node.id in self._imported):
            return
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            name = node.value.id
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            known = name in _GENERICS and (name in _TYPES or name in self._imported)
            if known and parts and _GENERICS[name] in (0, len(parts)):
                for part in parts:
                    self._annotation(part)
                return
        raise Uncertain("an annotation")

    # What each node may be

    def _node(self, node: ast.AST) -> None:
        if not isinstance(node, _ALLOWED):
            raise Uncertain(type(node).__name__)
        judge = getattr(self, f"_judge_{type(node).__name__.lower()}", None)
        if judge is not None:
            judge(node)
        if self._is_used_up(node) is False:
            raise Uncertain("something lazy that is kept")
        if self._is_set(node) and not self._hides_order(node):
            raise Uncertain("the order of a set")

    def _judge_functiondef(self, node: ast.FunctionDef) -> None:
        if node.decorator_list or getattr(node, "type_params", None):
            raise Uncertain("a decorator")
        if node is not self._functions[self._entry_point] and node.name.startswith("__"):
            raise Uncertain("a name")

    def _judge_arguments(self, node: ast.arguments) -> None:
        if node.vararg or node.kwarg or node.kwonlyargs or node.posonlyargs:
            raise Uncertain("its parameters")
        if not all(isinstance(default, ast.Constant) for default in node.defaults):
            raise Uncertain("a default value")

    def _judge_constant(self, node: ast.Constant) -> None:
        value, kind = node.value, type(node.value)
        spoken = isinstance(self._parents[node], ast.Expr)  # a docstring
        if isinstance(value, str) and not spoken and ("%" in value or not _is_plain(value)):
            raise Uncertain("a text")
        if kind not in (str, int, bool, type(None)):
            raise Uncertain(f"a constant of type {kind.__name__}")

    def _judge_name(self, node: ast.Name) -> None:
        if node.id.startswith("__"):
            raise Uncertain("a name")
        if isinstance(node.ctx, ast.Store) or node.id in self._bound - self._functions.keys():
            if node.id in self._functions:
                raise Uncertain("a function's name for something else")
            return
        if node.id in self._functions:
            self._function_name(node)
        elif node.id in _BUILTINS:
            self._builtin_name(node)
        else:
            raise Uncertain(f"the name {node.id}")

    def _function_name(self, node: ast.Name) -> None:
        parent = self._parents[node]
        if not (
            isinstance(parent, ast.Call) and (parent.func is node or self._is_function_argument(node, parent))
        ):
            raise Uncertain("a function as a value")

    def _builtin_name(self, node: ast.Name) -> None:
        parent = self._parents[node]
        if isinstance(parent, ast.Call) and parent.func is node:
            if node.id[0].isupper() and not isinstance(self._parents[parent], ast.Raise):
                raise Uncertain("an exception as a value")
            return
        if isinstance(parent, ast.Attribute) and node.id == "dict" and parent.attr == "fromkeys":
            return
        if isinstance(parent, ast.Raise) and node.id[0].isupper():
            return
        if isinstance(parent, (ast.keyword, ast.Call)) and node.id in _FUNCTION_VALUES:
            call = self._parents[parent] if isinstance(parent, ast.keyword) else parent
            if isinstance(call, ast.Call) and self._is_function_argument(node, call):
                return
        if self._is_type_argument(node, parent):
            return
        raise Uncertain(f"{node.id} as a value")

    def _is_type_argument(self, node: ast.Name, parent: ast.AST) -> bool:
        if isinstance(parent, ast.Tuple):
            node, parent = parent, self._parents[parent]  # type: ignore[assignment]
        return isinstance(parent, ast.Call) and _calls(parent, "isinstance") and parent.args[1:] == [node]

    def _is_function_argument(self, node: ast.AST, call: ast.Call) -> bool:
        if _calls(call, "map") or _calls(call, "filter"):
            return call.args[0] is node
        return any(keyword.arg == "key" and keyword.value is node for keyword in call.keywords)

    def _judge_lambda(self, node: ast.Lambda) -> None:
        parent = self._parents[node]
        call = self._parents[parent] if isinstance(parent, ast.keyword) else parent
        if not (isinstance(call, ast.Call) and self._is_function_argument(node, call)):
            raise Uncertain("a function as a value")
        if isinstance(call.func, ast.Attribute):  # list.sort: the list is empty while it is sorted
            own = {argument.arg for argument in node.args.args}
            names = {one.id for one in ast.walk(node.body) if isinstance(one, ast.Name)}
            if not names <= own | _BUILTINS:
                raise Uncertain("a sort that sees its list")

    def _judge_attribute(self, node: ast.Attribute) -> None:
        parent = self._parents[node]
        if not (isinstance(parent, ast.Call) and parent.func is node):
            raise Uncertain("an attribute")
        if node.attr == "fromkeys":
            if not (isinstance(node.value, ast.Name) and node.value.id == "dict" and len(parent.args) == 1):
                raise Uncertain("fromkeys")
        elif node.attr not in _CHANGING | _READING:
            raise Uncertain(f"the method {node.attr}")
        if node.attr in _CHANGING and self._inside_expression(parent):
            raise Uncertain("a change in the middle of an expression")

    def _inside_expression(self, call: ast.Call) -> bool:
        """Whether a call stands in a lambda or a comprehension, where the order of changes could differ."""
        place: ast.AST = call
        while not isinstance(place, ast.stmt):
            if isinstance(place, (ast.Lambda, *_COMPREHENSIONS)):
                return True
            place = self._parents[place]
        return False

    def _judge_call(self, node: ast.Call) -> None:
        if not isinstance(node.func, (ast.Name, ast.Attribute)):
            raise Uncertain("what it calls")
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        keywords = {keyword.arg for keyword in node.keywords}
        allowed = {
            "sorted": {"key", "reverse"}, "sort": {"key", "reverse"}, "min": {"key", "default"},
            "max": {"key", "default"},
        }.get(name, set())  # fmt: skip
        if not keywords <= allowed and not (name in self._functions and None not in keywords):
            raise Uncertain("a keyword")
        if any(isinstance(argument, ast.Starred) for argument in node.args) and name != "zip":
            raise Uncertain("a call with a star")
        if any(isinstance(argument, ast.Lambda) for argument in node.args) and name not in ("map", "filter"):
            raise Uncertain("a function as a value")
        if name == "filter" and isinstance(node.args[0] if node.args else None, ast.Constant):
            raise Uncertain("filter(None)")
        if name in ("dict", "tuple", "sum", "round", "int", "bool", "str", "list") and len(node.args) > 1:
            raise Uncertain("a second argument")
        if isinstance(node.func, ast.Attribute) and name in _SEARCHES and len(node.args) != 1:
            raise Uncertain("a search from somewhere on")
        if name == "enumerate" and not all(_is_small(start) for start in node.args[1:]):
            raise Uncertain("where it starts to count")
        if name == "reversed" and any(self._is_lazy(argument) for argument in node.args):
            raise Uncertain("something lazy that is reversed")
        for keyword in node.keywords:
            if keyword.arg == "reverse" and not _is_small(keyword.value):
                raise Uncertain("an order")
        if name == "sort":
            for keyword in node.keywords:
                value = keyword.value
                known = isinstance(value, ast.Name) and value.id in _FUNCTION_VALUES
                if keyword.arg == "key" and not (known or isinstance(value, ast.Lambda)):
                    raise Uncertain("a sort that sees its list")

    def _judge_binop(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div) and not self._is_transient(node):
            raise Uncertain("a float")
        if isinstance(node.op, ast.Pow):
            power = node.right
            if not (isinstance(power, ast.Constant) and type(power.value) is int and 0 <= power.value <= 64):
                raise Uncertain("a power")

    def _is_transient(self, node: ast.BinOp) -> bool:
        """Whether a quotient is the result, or made an integer at once."""
        parent = self._parents[node]
        if isinstance(parent, ast.Call) and (_calls(parent, "int") or _calls(parent, "round")):
            return parent.args == [node] and not _holds_division(node)
        return isinstance(parent, ast.Return) and self._returns_result(parent) and not _holds_division(node)

    def _returns_result(self, node: ast.Return) -> bool:
        """Whether a value is returned to the sandbox, and to nobody else."""
        function: ast.AST = node
        while not isinstance(function, ast.FunctionDef):
            function = self._parents[function]
        return function.name == self._entry_point and not any(
            isinstance(one, ast.Name) and one.id == self._entry_point for one in self._nodes
        )

    def _judge_for(self, node: ast.For) -> None:
        targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
        if not all(isinstance(target, ast.Name) for target in targets):
            raise Uncertain("a loop's target")

    def _judge_augassign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, (ast.Div, ast.Pow)):
            raise Uncertain("a float")
        if isinstance(node.op, ast.Mult) and not self._is_always_a_number(node.target):
            raise Uncertain("a list that is multiplied in place")

    def _is_always_a_number(self, target: ast.expr) -> bool:
        """Whether a name is only ever given constant numbers, and changed by arithmetic."""
        if not isinstance(target, ast.Name):
            return False
        function = self._function_of(target)
        for node in self._nodes:
            if isinstance(node, ast.arg) and node.arg == target.id:
                return False
            if not (isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Store)):
                continue
            parent = self._parents[node]
            if self._function_of(node) is not function or isinstance(parent, ast.AugAssign):
                continue
            if not (isinstance(parent, ast.Assign) and _is_number(parent.value)):
                return False
        return True

    def _judge_compare(self, node: ast.Compare) -> None:
        if any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops):
            sides = [node.left, *node.comparators]
            if len(sides) > 2 or not (isinstance(sides[1], ast.Constant) and sides[1].value is None):
                raise Uncertain("identity")

    def _judge_formattedvalue(self, _: ast.FormattedValue) -> None:
        raise Uncertain("formatting")

    def _judge_raise(self, node: ast.Raise) -> None:
        if node.cause is not None or node.exc is None:
            raise Uncertain("raise")

    def _judge_assign(self, node: ast.Assign) -> None:
        if len(node.targets) > 1:
            raise Uncertain("a chain of assignments")

    def _judge_starred(self, node: ast.Starred) -> None:
        if isinstance(node.ctx, ast.Store):
            raise Uncertain("a starred target")

    def _judge_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            raise Uncertain("async")

    # Depth

    def _stays_shallow(self) -> bool:
        """Whether no loop puts a container into itself, or into one that it then calls by the same name.

        CPython and Monty have different limits for how deep a value may be, and look at one that is shared
        in different ways.
        """
        for node in self._nodes:
            target = _changed_by(node)
            if isinstance(target, ast.Name):
                given = node.args if isinstance(node, ast.Call) else []
                parent = self._parents[node]
                given = [*given, parent.value] if isinstance(parent, ast.Assign) else given
                if any(target.id in self._held_by(value, nested=False) for value in given):
                    return False
        return not any(self._nests(node) for node in self._nodes if isinstance(node, (ast.For, ast.While)))

    def _nests(self, loop: ast.For | ast.While) -> bool:
        holds: dict[str, set[str]] = {}
        nested: set[tuple[str, str]] = set()
        for node in ast.walk(loop):
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            name = node.targets[0].id
            inside = self._held_by(node.value, nested=True)
            nested |= {(name, one) for one in inside}
            holds.setdefault(name, set()).update(inside | self._held_by(node.value, nested=False))
        return any(name in _reachable(holds, inside) for name, inside in nested)

    def _held_by(self, value: ast.AST, nested: bool) -> set[str]:
        """Give the names whose objects a value has in it, one level down or more, or may be."""
        found = {value.id} if isinstance(value, ast.Name) and not nested else set()
        for node in ast.walk(value):
            parts: list[ast.expr | None] = []
            if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
                parts += node.elts
            elif isinstance(node, ast.Dict):
                parts += [*node.keys, *node.values]
            elif isinstance(node, (ast.ListComp, ast.SetComp)):
                parts.append(node.elt)
            elif isinstance(node, ast.DictComp):
                parts += [node.key, node.value]
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in self._functions
            ):
                parts += node.args
            found |= {part.id for part in parts if isinstance(part, ast.Name)}
        return found

    # Laziness

    def _is_lazy(self, node: ast.AST) -> bool:
        return (
            isinstance(node, ast.GeneratorExp)
            or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _LAZY)
            or _is_view(node)
        )

    def _is_used_up(self, node: ast.AST) -> bool | None:
        """Whether something lazy, a range or a view is used up where it stands; ``None`` for all else."""
        if not (self._is_lazy(node) or _calls(node, "range")):
            return None
        parent = self._parents[node]
        if isinstance(parent, (ast.For, ast.comprehension)):
            return parent.iter is node
        if isinstance(parent, ast.Starred):
            return isinstance(self._parents[parent], (ast.List, ast.Tuple)) or _calls(
                self._parents[parent], "zip"
            )
        if isinstance(parent, ast.Compare):
            return (
                not isinstance(node, ast.GeneratorExp)
                and isinstance(parent.ops[-1], (ast.In, ast.NotIn))
                and (parent.comparators == [node])
            )
        if not isinstance(parent, ast.Call) or node not in parent.args:
            return False
        if isinstance(parent.func, ast.Attribute):
            return parent.func.attr == "join" or (parent.func.attr == "extend" and not self._is_lazy(node))
        name = parent.func.id if isinstance(parent.func, ast.Name) else ""
        if name in _LAZY:
            return True
        return name in _EAGER and len(parent.args) == 1

    def _changes_are_local(self) -> bool:
        """Whether whatever the program changes in place has one name, and was made in the same function.

        A loop over something lazy must not change what the loop goes over either.
        """
        return all(self._changes_are_local_in(function) for function in self._functions.values())

    def _changes_are_local_in(self, function: ast.FunctionDef) -> bool:
        nodes = [node for node in ast.walk(function) if node in self._parents]
        changed: set[str] = set()
        for node in nodes:
            target = _changed_by(node)
            if target is not None:
                if not isinstance(target, ast.Name):
                    return False
                changed.add(target.id)
        if not all(self._is_always_fresh(name, function, nodes) for name in changed):
            return False
        for node in nodes:
            if isinstance(node, ast.For) and not isinstance(node.iter, ast.Name):
                over = {one.id for one in ast.walk(node.iter) if isinstance(one, ast.Name)}
                inside = {
                    target.id
                    for statement in node.body
                    for one in ast.walk(statement)
                    if isinstance(target := _changed_by(one), ast.Name)
                }
                if over & inside:
                    return False
        return True

    def _is_always_fresh(self, name: str, function: ast.FunctionDef, nodes: list[ast.AST]) -> bool:
        if any(argument.arg == name for argument in function.args.args):
            return False
        for node in nodes:
            if isinstance(node, ast.Name) and node.id == name:
                parent = self._parents[node]
                if isinstance(node.ctx, ast.Store):
                    if isinstance(parent, ast.AugAssign):
                        continue
                    if not isinstance(parent, ast.Assign) or not _is_fresh(parent.value):
                        return False
                elif not _keeps_no_hold(node, parent):
                    return False
        return True

    # Sets

    def _find_sets(self) -> None:
        """Find the names that always hold a set, function by function."""
        self._set_names: set[tuple[ast.FunctionDef, str]] = set()
        for function in self._functions.values():
            nodes = [node for node in ast.walk(function) if node in self._parents]
            known = -1
            while known < len(self._set_names):  # a name may be given what another name holds
                known = len(self._set_names)
                self._sets.clear()
                for node in nodes:
                    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                        continue
                    if self._is_set(node.value):
                        self._set_names.add((function, node.targets[0].id))
            for scope, name in [*self._set_names]:
                if scope is function:
                    self._hold_sets_only(name, nodes)

    def _hold_sets_only(self, name: str, nodes: list[ast.AST]) -> None:
        if any(isinstance(node, ast.arg) and node.arg == name for node in nodes):
            raise Uncertain("a name for a set and more")
        for node in nodes:
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
                parent = self._parents[node]
                if not (isinstance(parent, ast.Assign) and self._is_set(parent.value)):
                    raise Uncertain("a name for a set and more")

    def _function_of(self, node: ast.AST) -> ast.AST | None:
        place: ast.AST | None = node
        while place is not None and not isinstance(place, ast.FunctionDef):
            place = self._parents.get(place)
        return place

    def _is_set(self, node: ast.AST) -> bool:
        if node not in self._sets:
            self._sets[node] = self._looks_like_set(node)
        return self._sets[node]

    def _looks_like_set(self, node: ast.AST) -> bool:
        if isinstance(node, (ast.Set, ast.SetComp)):
            return True
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and node.func.id in _SETS
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)):
            return self._is_set(node.left) or self._is_set(node.right) or self._views(node)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            return (self._function_of(node), node.id) in self._set_names
        return False

    def _views(self, node: ast.BinOp) -> bool:
        return _is_view(node.left) or _is_view(node.right)

    def _hides_order(self, node: ast.AST) -> bool:
        parent = self._parents[node]
        if isinstance(parent, ast.Compare):
            return True
        if isinstance(parent, ast.BinOp):
            return self._is_set(parent)
        if isinstance(parent, ast.Assign):
            return isinstance(parent.targets[0], ast.Name)
        if isinstance(parent, ast.Return):
            return self._returns_result(parent)
        if isinstance(parent, ast.Attribute):
            return parent.attr == "add"
        if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.args == [node]:
            return parent.func.id in ("len", "sorted", "set", "min", "max") and not parent.keywords
        return False

    # Dicts

    def _makes_dict(self, node: ast.AST) -> bool:
        if isinstance(node, (ast.Dict, ast.DictComp)) or _calls(node, "dict"):
            return True
        return isinstance(node, ast.Attribute) and node.attr == "fromkeys"

    def _truths_are_only_tested(self) -> None:
        if self._truths:
            raise Uncertain("truth values beside a dict")
        for node in self._nodes:
            if _is_truth(node) and not self._is_tested(node):
                raise Uncertain("truth values beside a dict")

    def _is_tested(self, node: ast.AST) -> bool:
        parent = self._parents[node]
        if isinstance(parent, (ast.If, ast.While, ast.IfExp, ast.Assert)):
            return parent.test is node
        if isinstance(parent, ast.comprehension):
            return node in parent.ifs
        if isinstance(parent, (ast.BoolOp, ast.UnaryOp)):
            return self._is_tested(parent)
        return False


def _annotations_of(node: ast.AST) -> list[ast.expr]:
    found = None
    if isinstance(node, ast.FunctionDef):
        found = node.returns
    elif isinstance(node, (ast.arg, ast.AnnAssign)):
        found = node.annotation
    return [] if found is None else [found]


def _repeats_text(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and any(
        isinstance(side, ast.Constant) and isinstance(side.value, str) for side in (node.left, node.right)
    )


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int


def _is_small(node: ast.expr) -> bool:
    """Whether a node is a truth value or a small number, as it stands."""
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and 0 <= node.value <= 1000


def _reachable(holds: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        if (name := todo.pop()) not in found:
            found.add(name)
            todo += holds.get(name, ())
    return found


def _calls(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _is_view(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS


def _is_plain(text: str) -> bool:
    return text.isascii() and all(character.isprintable() or character == "\n" for character in text)


def _holds_division(quotient: ast.BinOp) -> bool:
    return any(
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        for side in (quotient.left, quotient.right)
        for node in ast.walk(side)
    )


def _is_truth(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is bool
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            return node.func.attr in _TRUTHS
        return any(_calls(node, name) for name in ("any", "all", "bool", "isinstance"))
    return isinstance(node, ast.Compare)


def _is_fresh(value: ast.expr) -> bool:
    """Whether an expression makes an object that nothing else holds, or one that cannot change."""
    if isinstance(value, ast.IfExp):
        return _is_fresh(value.body) and _is_fresh(value.orelse)
    if isinstance(value, ast.UnaryOp):
        return True
    if isinstance(value, ast.Subscript):
        return isinstance(value.slice, ast.Slice)
    if isinstance(value, ast.Call):
        if isinstance(value.func, ast.Attribute):
            return value.func.attr in ("copy", "index", "count")
        return isinstance(value.func, ast.Name) and value.func.id in _FRESH_CALLS
    return isinstance(value, _FRESH)


def _changed_by(node: ast.AST) -> ast.expr | None:
    """Give what a node changes in place, if anything."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        return node.func.value
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return node.value
    if isinstance(node, ast.AugAssign):
        return node.target if isinstance(node.target, ast.Name) else node.target.value
    return None


def _stores_slice(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.slice, ast.Slice)
    )


def _keeps_no_hold(node: ast.Name, parent: ast.AST) -> bool:
    """Whether the use of a name where it stands gives its object no second name."""
    if isinstance(parent, (ast.Attribute, ast.Subscript)):
        return parent.value is node or isinstance(parent, ast.Subscript)
    if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name):
        return parent.func.id in _FRESH_CALLS | _LAZY | {"sum", "any", "all", "tuple", "range"}
    if isinstance(parent, (ast.For, ast.comprehension)):
        return parent.iter is node
    return isinstance(parent, (ast.Return, ast.Compare, ast.BinOp, ast.UnaryOp, ast.Slice, ast.While, ast.If))
