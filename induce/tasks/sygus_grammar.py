"""The grammars of SyGuS files: which terms may be the body of the function.

Source: The SyGuS Language Standard, version 2.1, section 2.10, and version 1, section 3.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hypotheses.sygus.grammar import Apply, Grammar, Nonterminal, Symbol, Term
from hypotheses.sygus.sexpr import Atom, Sexpr, SexprError, SList, flat
from hypotheses.sygus.sorts import sort_of
from hypotheses.sygus.terms import Definitions, read_parameters, read_sort, read_term

_ALL_VARIABLES = ("Variable", "InputVariable")  # version 1 knows the second
_START_OF_VERSION_1 = "Start"


@dataclass(slots=True)
class GrammarReader:
    """Reads the grammar of one function with these parameters (name → sort).

    ``definitions`` are those of the file.
    """

    parameters: Mapping[str, str]
    definitions: Definitions
    _sorts: dict[str, str] = field(default_factory=dict)

    def read(self, lists: Sequence[Sexpr]) -> Grammar:
        """Read a grammar of version 1, ``[groups]``, or of version 2.1, ``[non-terminals, groups]``.

        ``(Variable sort)`` becomes the parameters of that sort. Raises ``SexprError`` for a grammar that is
        malformed, ill-sorted or uses what is not declared.
        """
        match lists:
            case [SList() as groups]:
                declared = None
            case [SList() as declaration, SList() as groups]:
                declared = read_parameters(declaration, self.definitions.aliases)
            case _:
                raise SexprError(lists[0].line, "expected a grammar: (non-terminals…) (groups…)")
        read = [self._group(group) for group in groups.items]
        names = tuple((name, sort) for name, sort, _ in read)
        if not names:
            raise SexprError(groups.line, "expected a grammar with at least one non-terminal")
        if declared is not None and declared != names:
            raise SexprError(groups.line, "expected the groups in the order of the declared non-terminals")
        self._declare(names, groups.line)
        nonterminals = [
            Nonterminal(
                name, sort, tuple(term for p in productions for term in self._production(p, name, sort))
            )
            for name, sort, productions in read
        ]
        if declared is None:
            nonterminals.sort(key=lambda nonterminal: nonterminal.name != _START_OF_VERSION_1)
        return Grammar(tuple(nonterminals))

    def _group(self, group: Sexpr) -> tuple[str, str, tuple[Sexpr, ...]]:
        match group:
            case SList(items=(Atom(kind="symbol", text=name), sort, SList(items=(_, *_) as productions))):
                return name, read_sort(sort, self.definitions.aliases), productions
        raise SexprError(group.line, f"expected (non-terminal sort (productions…)), found {flat(group)}")

    def _declare(self, names: Sequence[tuple[str, str]], line: int) -> None:
        self._sorts = dict(self.parameters)
        for name, sort in names:
            if name in self._sorts:
                raise SexprError(line, f"{name} is declared twice")
            self._sorts[name] = sort

    def _production(self, sexpr: Sexpr, name: str, sort: str) -> Iterator[Term]:
        if isinstance(sexpr, SList) and sexpr.head in _ALL_VARIABLES and len(sexpr.items) == 2:
            wanted = read_sort(sexpr.items[1], self.definitions.aliases)
            self.definitions.spend(len(self.parameters), sexpr.line)
            terms: list[Term] = [
                Symbol(parameter) for parameter, found in self.parameters.items() if found == wanted
            ]
        else:
            terms = [read_term(sexpr, self.definitions)]
            self._refuse_copies(sexpr)
        for term in terms:
            try:
                found = sort_of(term, self._sorts)
            except ValueError as error:
                raise SexprError(sexpr.line, f"in {name}: {error}") from None
            if found != sort:
                raise SexprError(
                    sexpr.line, f"{name} is of sort {sort}, yet {flat(sexpr)} is of sort {found}"
                )
            yield term

    def _refuse_copies(self, sexpr: Sexpr) -> None:
        """Refuse what expansion would turn into two independent choices, such as ``(double Start)``."""
        if not isinstance(sexpr, SList):
            return
        if sexpr.head == "let":
            raise SexprError(sexpr.line, "(let …) in a grammar is not supported")
        function = self.definitions.functions.get(sexpr.head)
        if function is not None:
            uses = Counter(_symbols(function.body))
            if any(uses[name] > 1 for name, _ in function.parameters):
                raise SexprError(
                    sexpr.line, f"{function.name} uses an argument twice, which a grammar does not support"
                )
        for item in sexpr.items:
            self._refuse_copies(item)


def _symbols(term: Term) -> Iterator[str]:
    match term:
        case Symbol(name=name):
            yield name
        case Apply(arguments=arguments):
            for argument in arguments:
                yield from _symbols(argument)
