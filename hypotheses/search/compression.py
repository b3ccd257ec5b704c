"""Learning a library: what solutions share is found by compressing them.

The compression is Stitch's (Bowers et al. 2023, "Top-Down Synthesis for Library Learning"), which works on
untyped lambda-terms. Operators and constants get names by kind, so two of different kinds are never taken for
the same; each program's variables get names of their own, so no abstraction can hold one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from hypotheses.search.abstraction import (
    Abstraction,
    Head,
    Rule,
    head_of,
    hole,
    inline,
    is_well_kinded,
    rewrite,
    rule_of,
    size,
)
from hypotheses.search.language import Call, Expression, Operator, Variable, walk
from hypotheses.search.library import Library
from sandboxes import ProposerError

MOST_ABSTRACTIONS = 10
"""How many abstractions are learned at most."""

MOST_ARGUMENTS = 3
"""How many arguments an abstraction has at most: each one more makes it dearer to try."""

_LEXEME = re.compile(r"[()]|[^\s()]+")

Tree: TypeAlias = "str | list[Tree]"


def learn_library(
    solutions: Iterable[Expression], *, abstractions: int = MOST_ABSTRACTIONS, arguments: int = MOST_ARGUMENTS
) -> Library:
    """Learn what ``solutions`` share; equal ones count once, and those with arguments of wrong kinds never.

    Raises ``ProposerError`` where ``stitch_core`` is not installed.
    """
    terms = Terms()
    distinct: dict[str, Expression] = {}
    for solution in map(inline, solutions):
        if is_well_kinded(solution):
            distinct.setdefault(terms.write(solution), solution)
    corpus = list(distinct.values())
    kept: list[Abstraction] = []
    rewritten = corpus
    for body in _shared(terms, corpus, 2 * abstractions, arguments):
        candidate = Abstraction(f"fn_{len(kept)}", body)
        smaller = _rewritten(corpus, [*kept, candidate])
        if len(kept) < abstractions and _total(smaller) < _total(rewritten):
            kept.append(replace(candidate, compression=_total(rewritten) / _total(smaller)))
            rewritten = smaller
    # A later abstraction may have taken the place of an earlier one.
    counts = _counts(rewritten)
    kept = [one for one in kept if counts[rule_of(one.operator())] > 1]
    counts = _counts(_rewritten(corpus, kept))
    return Library(tuple(replace(one, uses=counts[rule_of(one.operator())]) for one in kept), counts)


def _rewritten(corpus: Iterable[Expression], abstractions: Iterable[Abstraction]) -> list[Expression]:
    operators = [abstraction.operator() for abstraction in abstractions]
    return [rewrite(solution, operators) for solution in corpus]


def _total(corpus: Iterable[Expression]) -> int:
    return sum(map(size, corpus))


def _counts(corpus: Iterable[Expression]) -> Counter[Rule]:
    return Counter(rule_of(head_of(part)) for solution in corpus for part in walk(solution))


def _shared(terms: Terms, corpus: Sequence[Expression], abstractions: int, arguments: int) -> Iterator[Call]:
    """Yield what the corpus shares, the most compressive first, without calls of one another."""
    if len(corpus) < 2 or abstractions == 0:
        return
    written = [terms.write(solution, program) for program, solution in enumerate(corpus)]
    found = _compressed(written, abstractions, arguments)
    bodies: dict[str, tuple[int, Tree]] = {}
    for name, arity, body_text in found:
        tree = _expanded(parse(body_text), bodies)
        bodies[name] = (arity, tree)
        body = terms.read(tree)
        # Without holes it is a constant, which enumeration finds early and has no operator for.
        if isinstance(body, Call) and any(isinstance(part, Variable) for part in walk(body)):
            yield body


def _compressed(programs: Sequence[str], abstractions: int, arguments: int) -> list[tuple[str, int, str]]:
    """Have Stitch find abstractions: name, arity and body of each.

    It asserts what does not hold for every corpus; then it is asked for abstractions of fewer arguments.
    """
    try:
        from stitch_core import StitchException, compress  # noqa: PLC0415 - only learning needs it
    except ImportError:
        raise ProposerError("learning a library needs stitch_core: pip install 'induce[search]'") from None
    for arity in range(arguments, 0, -1):
        with suppress(StitchException):
            result = compress(
                list(programs),
                iterations=abstractions,
                max_arity=arity,
                no_curried_bodies=True,
                no_curried_metavars=True,
            )
            return [(one.name, one.arity, one.body) for one in result.abstractions]
    return []


def parse(text: str) -> Tree:
    """Read one of Stitch's terms as nested lists of names."""
    unclosed: list[list[Tree]] = [[]]
    for lexeme in _LEXEME.findall(text):
        if lexeme == "(":
            unclosed.append([])
        elif lexeme == ")":
            closed = unclosed.pop()
            unclosed[-1].append(closed)
        else:
            unclosed[-1].append(lexeme)
    return unclosed[0][0]


def _expanded(tree: Tree, bodies: Mapping[str, tuple[int, Tree]]) -> Tree:
    """Replace calls of earlier abstractions by their bodies, which come with their numbers of arguments."""
    if isinstance(tree, str):
        arity, body = bodies.get(tree, (0, tree))
        return body if arity == 0 else tree
    head, *arguments = tree
    expanded = [_expanded(argument, bodies) for argument in arguments]
    if isinstance(head, str) and head in bodies and bodies[head][0] == len(expanded):
        return _substituted(bodies[head][1], expanded)
    return [head, *expanded]


def _substituted(tree: Tree, arguments: Sequence[Tree]) -> Tree:
    if isinstance(tree, str):
        return arguments[int(tree[1:])] if tree.startswith("#") else tree
    return [_substituted(part, arguments) for part in tree]


class Terms:
    """Expressions as Stitch's terms, and back: operators and constants get one name for each rule."""

    def __init__(self) -> None:
        self._names: dict[tuple[Rule, int, int], str] = {}
        self._heads: dict[str, Head] = {}

    def write(self, expression: Expression, program: int = 0) -> str:
        """Write an expression; its variables are named apart from those of other programs."""
        head = head_of(expression)
        which = (program, head.position) if isinstance(head, Variable) else (0, 0)
        name = self._names.setdefault((rule_of(head), *which), f"t{len(self._names)}")
        self._heads.setdefault(name, head)
        if not isinstance(expression, Call):
            return name
        return " ".join([f"({name}", *(self.write(part, program) for part in expression.arguments)]) + ")"

    def read(self, tree: Tree) -> Expression | None:
        """Read a parsed term; ``#0``, ``#1`` … become holes, numbered anew as they come.

        ``None`` where the term is none of the language's: it has a hole for a function, applies an operator
        to some of its arguments only, or has one hole for two kinds. Operators take values, not functions,
        so such an abstraction could be neither evaluated nor printed.
        """
        holes: dict[str, Variable] = {}
        try:
            return self._read(tree, None, holes)
        except LookupError:
            return None

    def _read(self, tree: Tree, kind: str | None, holes: dict[str, Variable]) -> Expression:
        """Read a term of ``kind``, which is ``None`` where any will do. Raises ``LookupError``."""
        found: Expression
        if isinstance(tree, list):
            operator = self._heads[tree[0]] if isinstance(tree[0], str) else None
            if not isinstance(operator, Operator) or len(operator.arguments) != len(tree) - 1:
                raise LookupError(tree)
            pairs = zip(tree[1:], operator.arguments, strict=True)
            found = Call(operator, tuple(self._read(part, its, holes) for part, its in pairs))
        elif tree.startswith("#"):
            if kind is None:
                raise LookupError(tree)
            found = holes.setdefault(tree, hole(len(holes), kind))
        else:
            leaf = self._heads.get(tree)
            if leaf is None or isinstance(leaf, Operator):
                raise LookupError(tree)
            found = leaf
        if kind is not None and rule_of(head_of(found)).kind != kind:
            raise LookupError(tree)
        return found
