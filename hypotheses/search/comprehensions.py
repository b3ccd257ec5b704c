"""Comprehensions: what is done with each element of a sequence, as operators made on the fly.

``sum(char in 'aeiou' for char in text.lower())`` is one operator with the argument ``text.lower()``; what its
body takes from the task's own arguments become further arguments of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, islice, pairwise
from typing import Any

from hypotheses.search.language import (
    Call,
    Column,
    Constant,
    Expression,
    Operator,
    Variable,
    evaluate,
    walk,
)
from hypotheses.search.printing import phrase_of, python_of
from hypotheses.search.value_operators import ELEMENTS

Items = tuple[Any, ...]
"""The values that a comprehension's variables take for one element."""

MAX_ITEMS = 2_000
"""How many elements a comprehension may run over in one example."""


ZIPPED = 6
"""So many of the cheapest sequences are run over in pairs."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A way to run over the elements of sequences: ``for VARIABLES in ITERABLE``.

    ``items`` gives what the variables take, for the values of the sequences.
    """

    variables: tuple[Variable, ...]
    iterable: str
    phrase: str
    items: Callable[..., Sequence[Items]]
    cost: int = 1

    @property
    def target(self) -> str:
        """The loop's variables, as Python writes them."""
        return ", ".join(variable.name for variable in self.variables)


NAMES = {"str": "char", "list": "number", "texts": "word", "lists": "row"}
"""What an element is called."""


def loops_over(kind: str) -> list[Loop]:
    """Give the ways to run over one sequence of a kind, or up to an integer."""
    if kind == "int":
        number = Variable("number", "int", 0)
        return [Loop((number,), "range(1, _0 + 1)", "number from 1 to _0", _up_to, cost=2)]
    name, element = NAMES[kind], ELEMENTS[kind]
    here = Variable(name, element, 0)
    pair = (Variable("left", element, 0), Variable("right", element, 1))
    place = Variable("place", "int", 0, cost=2)
    found = [
        Loop((here,), "_0", f"{name} in _0", lambda x: [(one,) for one in x]),
        Loop(
            (place, Variable(name, element, 1)),
            "enumerate(_0)",
            f"{name} in _0 at a place (counted from 0)",
            lambda x: list(enumerate(x)),
            cost=2,
        ),
        Loop(
            pair, "pairwise(_0)", "two neighbours left and right in _0", lambda x: list(pairwise(x)), cost=2
        ),
    ]
    if kind in {"list", "texts"}:
        found.append(Loop(pair, "combinations(_0, 2)", "two elements left and right of _0", _pairs, cost=3))
    return found


def loop_over_both(first: str, second: str) -> Loop:
    """Give the loop over two sequences of these kinds, pair by pair."""
    variables = (Variable("left", ELEMENTS[first], 0), Variable("right", ELEMENTS[second], 1))
    return Loop(variables, "zip(_0, _1)", "two elements left of _0 and right of _1", _together, cost=0)


def _up_to(number: int) -> list[Items]:
    if number > MAX_ITEMS:
        raise ValueError(f"{number} is too far to count")
    return [(one,) for one in range(1, number + 1)]


def _pairs(x: Sequence[Any]) -> list[Items]:
    if len(x) > 64:
        raise ValueError(f"{len(x)} elements make too many pairs")
    return list(combinations(x, 2))


def _together(x: Sequence[Any], y: Sequence[Any]) -> list[Items]:
    return list(zip(x, y, strict=False))


@dataclass(frozen=True, slots=True)
class Ending:
    """What is made of the body's values: a list, their sum, the elements of which they hold.

    ``combine`` takes the elements (of a single variable: the elements themselves) and the body's values.
    In ``python``, ``BODY``, ``TARGET`` and ``ITERABLE`` stand for the parts; in ``phrase``, ``BODY`` and
    ``EACH``. ``whole`` says whether it hands out elements, so that the loop may only have one variable.
    """

    name: str
    body: str
    result: str
    combine: Callable[[Sequence[Any], Sequence[Any]], Any]
    python: str
    phrase: str
    cost: int = 1
    whole: bool = False


def endings(kind: str) -> list[Ending]:
    """Give what can be made of a loop over a sequence of a kind."""
    element = ELEMENTS.get(kind, "int")
    result = kind if kind in ELEMENTS else "list"
    found = [*_SUMMARIES, *_MAPS]
    if kind == "str":
        found.append(
            Ending(
                "filter",
                "bool",
                "str",
                lambda items, truths: "".join([i for i, t in zip(items, truths, strict=True) if t]),
                "''.join([TARGET for TARGET in ITERABLE if BODY])",
                "every EACH for which BODY",
                whole=True,
            )
        )
    else:
        found.append(
            Ending(
                "filter",
                "bool",
                result,
                lambda items, truths: tuple([i for i, t in zip(items, truths, strict=True) if t]),
                "[TARGET for TARGET in ITERABLE if BODY]",
                "the list of every EACH for which BODY",
                whole=True,
            )
        )
    found += [
        Ending(
            "first",
            "bool",
            element,
            lambda items, truths: next(i for i, t in _truly(items, truths)),
            "next((TARGET for TARGET in ITERABLE if BODY))",
            "the first EACH for which BODY",
            whole=True,
        ),
    ]
    for key in ("int", "str", "float"):
        if result != "str":
            found.append(
                Ending(
                    "sort",
                    key,
                    result,
                    lambda items, keys: tuple(
                        [items[i] for i in sorted(range(len(items)), key=keys.__getitem__)]
                    ),
                    "sorted(ITERABLE, key=lambda TARGET: BODY)",
                    "every EACH in the order of BODY",
                    cost=2,
                    whole=True,
                )
            )
        for name, pick in (("max", max), ("min", min)):
            extreme = "largest" if name == "max" else "smallest"
            found.append(
                Ending(
                    name,
                    key,
                    element,
                    _picking(pick),
                    f"{name}(ITERABLE, key=lambda TARGET: BODY)",
                    f"the EACH with the {extreme} value of BODY",
                    cost=2,
                    whole=True,
                )
            )
    return found


def _picking(pick: Callable[..., int]) -> Callable[[Sequence[Any], Sequence[Any]], Any]:
    return lambda items, keys: items[pick(range(len(items)), key=keys.__getitem__)]


def _truly(items: Sequence[Any], truths: Sequence[Any]) -> list[tuple[Any, Any]]:
    found = [(item, truth) for item, truth in zip(items, truths, strict=True) if truth]
    if not found:
        raise ValueError("no element satisfies the condition")
    return found


_SUMMARIES = (
    Ending(
        "count",
        "bool",
        "int",
        lambda _, truths: sum(truths),
        "sum([BODY for TARGET in ITERABLE])",
        "the number of times that BODY, for each EACH",
    ),
    Ending("any", "bool", "bool", lambda _, truths: any(truths), "any([BODY for TARGET in ITERABLE])",
           "for some EACH, BODY"),
    Ending("all", "bool", "bool", lambda _, truths: all(truths), "all([BODY for TARGET in ITERABLE])",
           "for every EACH, BODY"),
    Ending("sum", "int", "int", lambda _, values: sum(values), "sum([BODY for TARGET in ITERABLE])",
           "the sum of BODY, for each EACH"),
    Ending("sum", "float", "float", lambda _, values: sum(values), "sum([BODY for TARGET in ITERABLE])",
           "the sum of BODY, for each EACH"),
    Ending("largest", "int", "int", lambda _, values: max(values), "max([BODY for TARGET in ITERABLE])",
           "the largest value of BODY, for each EACH"),
    Ending("smallest", "int", "int", lambda _, values: min(values), "min([BODY for TARGET in ITERABLE])",
           "the smallest value of BODY, for each EACH"),
)  # fmt: skip

_MAPS = (
    Ending("map", "int", "list", lambda _, values: tuple(values), "[BODY for TARGET in ITERABLE]",
           "the list of BODY, for each EACH"),
    Ending("map", "list", "lists", lambda _, values: tuple(values), "[BODY for TARGET in ITERABLE]",
           "the list of BODY, for each EACH"),
    Ending("map", "str", "texts", lambda _, values: tuple(values), "[BODY for TARGET in ITERABLE]",
           "the list of BODY, for each EACH"),
    Ending("join", "str", "str", lambda _, values: "".join(values), "''.join([BODY for TARGET in ITERABLE])",
           "BODY, for each EACH, joined"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comprehension(Operator):
    """An operator that runs over ``sequences`` sequences, its first arguments, and ends with ``ending``.

    In ``body`` the loop's variables come first, and after them the operator's further arguments.
    """

    loop: Loop = field(kw_only=True)
    ending: Ending = field(kw_only=True)
    body: Expression = field(kw_only=True)
    sequences: int = field(kw_only=True)


@dataclass(frozen=True)
class Source:
    """Sequences, each an expression of the task's arguments, and how to run over them.

    ``kind`` is that of the first sequence.
    """

    sequences: tuple[Expression, ...]
    kind: str
    loop: Loop

    @property
    def cost(self) -> int:
        """The loop's cost and that of the sequences; more where a text is rewritten first."""
        rewritten = self.kind == "str" and isinstance(self.sequences[0], Call)
        return self.loop.cost + sum(sequence.cost for sequence in self.sequences) + 2 * rewritten

    def items(self, rows: Sequence[Sequence[Any]]) -> list[Sequence[Items]]:
        """Give the elements in each row; raises one of ``UNDEFINED`` where there are none to speak of."""
        columns = [evaluate(sequence, rows) for sequence in self.sequences]
        found = []
        for values in zip(*columns, strict=True):
            if not isinstance(values[0], int) and len(values[0]) > MAX_ITEMS:
                raise ValueError(f"{len(values[0])} elements are too many to run over")
            found.append(self.loop.items(*values))
        return found

    def comprehension(self, ending: Ending, body: Expression) -> Call | None:
        """Give the expression of the arguments; ``None`` where the body cannot be put into words.

        In ``body`` the loop's variables come first, and after them those of the task.
        """
        bound = len(self.loop.variables)
        if any(
            isinstance(part, Constant) and isinstance(part.value, str) and re.search(r"_\d", part.value)
            for part in walk(body)
        ):
            return None  # would be taken for a placeholder
        free = list(
            dict.fromkeys(
                part for part in walk(body) if isinstance(part, Variable) and part.position >= bound
            )
        )
        first = len(self.sequences)
        lifted = {variable: Variable(f"_{first + i}", variable.kind, i) for i, variable in enumerate(free)}
        printed = _renamed(body, lifted)
        names = {variable.name: variable.name for variable in (*self.loop.variables, *lifted.values())}
        parts = {
            "BODY": f"({ast.unparse(ast.fix_missing_locations(python_of(printed, names)))})",
            "TARGET": self.loop.target,
            "ITERABLE": self.loop.iterable,
        }
        words = {"BODY": phrase_of(printed), "EACH": self.loop.phrase}
        inner = _bound(body, free, bound)
        python = re.sub("BODY|TARGET|ITERABLE", lambda part: parts[part[0]], ending.python)
        operator = Comprehension(
            python,
            (*(sequence.kind for sequence in self.sequences), *(variable.kind for variable in free)),
            ending.result,
            evaluator(self.loop, ending, inner, first),
            cost=self.loop.cost + ending.cost + body.cost - sum(variable.cost for variable in free),
            python=python,
            phrase=re.sub("BODY|EACH", lambda part: words[part[0]], ending.phrase),
            loop=self.loop,
            ending=ending,
            body=inner,
            sequences=first,
        )
        outer = [Variable(one.name, one.kind, one.position - bound, one.cost) for one in free]
        return Call(operator, (*self.sequences, *outer))


def evaluator(loop: Loop, ending: Ending, body: Expression, sequences: int) -> Callable[..., Column]:
    """Give what runs the comprehension over columns; the body's rows are the loop's variables, then more."""
    single = len(loop.variables) == 1

    def run(*columns: Column) -> Column:
        results = []
        for values in zip(*columns, strict=True):
            items = loop.items(*values[:sequences])
            found = evaluate(body, [(*item, *values[sequences:]) for item in items]) if items else ()
            results.append(ending.combine([item[0] for item in items] if single else items, found))
        return tuple(results)

    return run


def comprehend(
    kinds: Sequence[str],
    loop: str,
    ending: tuple[str, str],
    body: Expression,
    arguments: Sequence[Expression],
) -> Call:
    """Give the comprehension over the first ``arguments``, which are of these kinds, made anew of its parts.

    The others take the places of the variables of ``body`` that come after the loop's; they must be
    variables themselves. ``ending`` is an ending's name and the kind of its body. Raises ``LookupError``
    where there is no such loop or ending, ``ValueError`` where the parts do not fit.
    """
    sequences = arguments[: len(kinds)]
    free = [one for one in arguments[len(kinds) :] if isinstance(one, Variable)]
    if len(sequences) + len(free) != len(arguments) or len(sequences) != len(kinds):
        raise ValueError("a comprehension takes sequences, and then variables")
    loops = [loop_over_both(*kinds)] if len(kinds) == 2 else loops_over(kinds[0]) if len(kinds) == 1 else []
    over = next((one for one in loops if one.iterable == loop), None)
    last = next((one for one in endings(kinds[0]) if (one.name, one.body) == ending), None)
    if over is None or last is None or (last.whole and len(over.variables) > 1):
        raise LookupError(f"there is no {ending[0]} over {loop}")
    bound = len(over.variables)
    outer: dict[Variable, Variable] = {}
    for part in walk(body):
        if isinstance(part, Variable) and part.position < bound:
            outer[part] = replace(over.variables[part.position])
        elif isinstance(part, Variable):
            if part.position - bound >= len(free):
                raise ValueError(f"the body has no argument {part.position}")
            argument = free[part.position - bound]
            outer[part] = replace(argument, position=argument.position + bound)
    found = Source(tuple(sequences), kinds[0], over).comprehension(last, _renamed(body, outer))
    if found is None:
        raise ValueError("the body cannot be put into words")
    return found


def _bound(body: Expression, free: Sequence[Variable], bound: int) -> Expression:
    """Number the free variables of a body from the loop's on."""
    moved = {
        variable: Variable(variable.name, variable.kind, bound + i, variable.cost)
        for i, variable in enumerate(free)
    }
    return _renamed(body, moved)


def _renamed(expression: Expression, names: dict[Variable, Variable]) -> Expression:
    match expression:
        case Variable():
            return names.get(expression, expression)
        case Constant():
            return expression
        case Call(operator=operator, arguments=arguments):
            return Call(operator, tuple([_renamed(argument, names) for argument in arguments]))


def sources_of(sequences: Sequence[tuple[str, Expression]], most: int) -> list[Source]:
    """Give the cheapest ways to run over ``sequences``, each with its kind; at most so many."""
    found = [Source((one,), kind, loop) for kind, one in sequences for loop in loops_over(kind)]
    lists = [(kind, one) for kind, one in sequences if kind in ELEMENTS]
    found += [
        Source((one, other), kind, loop_over_both(kind, second))
        for (kind, one), (second, other) in combinations(
            sorted(lists, key=lambda two: two[1].cost)[:ZIPPED], 2
        )
    ]
    return list(islice(sorted(found, key=lambda source: source.cost), most))
