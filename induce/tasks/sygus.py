"""SyGuS programming-by-example files, ``*.sl``, of SyGuS-IF versions 1 and 2.1.

Each file is one task: one function to synthesise, the grammar its body must be a term of, and constraints
that give its value for constant arguments. A file whose constraints say anything else is refused.

Where the public benchmark files deviate from the standard, they are read as written:

- ``-1`` is an integer (the standard writes ``(- 1)``).
- A string is what stands between its quotes; only ``""`` and SMT-LIB's ``\\u`` escapes are resolved. Files of
  ``PBE_SLIA_Track/euphony`` write ``"/n"`` and mean a line break, yet theirs are the characters ``/`` and
  ``n``, in the examples as in the grammar.

Source: The SyGuS Language Standard, versions 1 and 2.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hypotheses.sygus.grammar import Apply, Grammar, Literal, Term
from hypotheses.sygus.semantics import Value, evaluate
from hypotheses.sygus.sexpr import Atom, Sexpr, SexprError, SList, flat, read_sexprs, shorten
from hypotheses.sygus.sorts import parameter_sorts, result_sort, sort_of
from hypotheses.sygus.terms import (
    Definitions,
    read_define_fun,
    read_parameters,
    read_sort,
    read_term,
    symbols,
)
from hypotheses.task import Example, Parameter, Signature, Task
from induce.tasks.jsontext import read_bytes
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.messages import one_line, place
from induce.tasks.sygus_grammar import GrammarReader
from sandboxes import CallStyle, TaskFormatError

_WITHOUT_EFFECT = frozenset(
    "check-synth declare-primed-var declare-var set-feature set-info set-logic set-option set-options".split()
)


class SygusReader:
    """Reads SyGuS files whose constraints are examples.

    A bit-vector becomes an unsigned ``int``; ``hypotheses.sygus.sorts`` gives its width back. No
    ``ReadOptions`` apply, for every constraint is part of the specification.
    """

    format = "sygus"

    def claims(self, path: Path, head: bytes) -> bool:  # noqa: ARG002 - the name says it all
        """Whether the file is called ``*.sl``."""
        return path.suffix == ".sl"

    def read(self, path: Path, options: ReadOptions) -> Iterator[LabelledTask | TaskFormatError]:  # noqa: ARG002
        """Yield the file's one task, or why it is none. Raises ``TaskFormatError`` for an unreadable file."""
        raw = read_bytes(path)
        try:
            yield LabelledTask(parse_sygus(raw.decode("utf-8-sig"), path.stem))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            found = f"the byte 0x{raw[error.start]:02x}"
            yield TaskFormatError(f"{place(path, line)}: expected UTF-8 text, found {found}")
        except SexprError as error:
            yield TaskFormatError(f"{place(path, error.line)}: {one_line(str(error))}")


def parse_sygus(text: str, task_id: str) -> Task:
    """Read the text of a SyGuS file. Raises ``SexprError``, which carries the line, for what is no task."""
    file = _File()
    line = 1
    for command in read_sexprs(text):
        line = command.line
        if not isinstance(command, SList):
            raise SexprError(line, f"expected a command in parentheses, found {flat(command)}")
        try:
            file.obey(command)
        except RecursionError:
            raise SexprError(line, "a term is nested too deeply to be read") from None
        except (MemoryError, OverflowError):
            raise SexprError(line, "a term is too large to be read") from None
    return file.task(task_id, line)


@dataclass(frozen=True, slots=True)
class _SynthFun:
    """The function to synthesise."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    sort: str
    grammar: Grammar | None
    line: int


@dataclass(slots=True)
class _File:
    """What the commands read so far have said."""

    definitions: Definitions = field(default_factory=Definitions)
    synth_fun: _SynthFun | None = None
    examples: list[Example] = field(default_factory=list)

    def obey(self, command: SList) -> None:
        match command.items:
            case (Atom(text=name), *_) if name in _WITHOUT_EFFECT:
                pass
            case (Atom(text="constraint"), constraint):
                term = read_term(constraint, self.definitions)
                self.examples += self._examples(command.line, term)
            case (
                Atom(text="synth-fun"),
                Atom(kind="symbol", text=name),
                SList() as parameters,
                sort,
                *grammar,
            ):
                if self.synth_fun is not None:
                    raise SexprError(
                        command.line, f"{name} is a second synth-fun; only one to a file is supported"
                    )
                self.synth_fun = self._synth_fun(command.line, name, parameters, sort, grammar)
            case (Atom(text="define-fun"), *_):
                self._define_fun(command)
            case (Atom(text="define-sort"), Atom(kind="symbol", text=name), SList(items=()), sort):
                self.definitions.aliases[name] = read_sort(sort, self.definitions.aliases)
            case (Atom(text="define-sort"), Atom(kind="symbol", text=name), sort):  # version 1
                self.definitions.aliases[name] = read_sort(sort, self.definitions.aliases)
            case (Atom(text="constraint" | "synth-fun" | "define-sort" as name), *_):
                raise SexprError(
                    command.line, f"this ({name} …) does not have the form that the standard gives it"
                )
            case (Atom(text=name), *_):
                raise SexprError(command.line, f"command {name} is not supported")
            case _:
                raise SexprError(command.line, f"expected a command, found {flat(command)}")

    def task(self, task_id: str, last_line: int) -> Task:
        """The whole file as a task."""
        function = self.synth_fun
        if function is None:
            raise SexprError(last_line, "expected a (synth-fun …) in the file, found none")
        if not self.examples:
            raise SexprError(last_line, "not example-based: the file has no constraint")
        signature = _signature(function)
        task = Task(task_id, tuple(self.examples), (), signature, "sygus", grammar=function.grammar)
        _check_widths(task, function)
        return task

    def _define_fun(self, command: SList) -> None:
        function = read_define_fun(command, self.definitions)
        try:
            found = sort_of(function.body, dict(function.parameters))
        except ValueError as error:
            raise SexprError(command.line, f"{function.name}: {error}") from None
        _expect_sort(command.line, f"the body of {function.name}", function.sort, found)
        self.definitions.functions[function.name] = function

    def _synth_fun(
        self, line: int, name: str, parameters: SList, sort: Sexpr, lists: list[Sexpr]
    ) -> _SynthFun:
        if not parameters.items:
            raise SexprError(line, f"{name} has no parameters, so it can have no examples")
        variables = read_parameters(parameters, self.definitions.aliases)
        result = read_sort(sort, self.definitions.aliases)
        grammar = GrammarReader(dict(variables), self.definitions).read(lists) if lists else None
        if grammar is not None:
            start = grammar.nonterminals[0]
            _expect_sort(line, f"the start symbol {start.name}", result, start.sort)
            _expect_terms(line, grammar)
        return _SynthFun(name, variables, result, grammar, line)

    def _examples(self, line: int, constraint: Term) -> Iterator[Example]:
        """The examples that a constraint stands for."""
        if self.synth_fun is None:
            raise SexprError(line, "expected (synth-fun …) before the first constraint")
        if isinstance(constraint, Apply) and constraint.operator == "and":
            for part in constraint.arguments:
                yield from self._examples(line, part)
            return
        equation = _equation(constraint, self.synth_fun.name)
        if equation is None:
            name = self.synth_fun.name
            raise SexprError(
                line, f"not example-based: expected a constraint (= ({name} constants…) constant)"
            )
        yield _example(line, self.synth_fun, *equation)


def _equation(constraint: Term, function: str) -> tuple[Apply, Term] | None:
    """Read a constraint as "this application of the function has that value"."""
    match constraint:
        case Apply("=", (left, right)):
            candidates = [(left, right), (right, left)]
        case Apply("not", (application,)):
            candidates = [(application, Literal(False, "Bool"))]
        case _:
            candidates = [(constraint, Literal(True, "Bool"))]
    for application, value in candidates:
        if isinstance(application, Apply) and application.operator == function:
            return application, value
    return None


def _example(line: int, function: _SynthFun, application: Apply, output: Term) -> Example:
    if len(application.arguments) != len(function.parameters):
        wanted, found = len(function.parameters), len(application.arguments)
        raise SexprError(line, f"{function.name} takes {wanted} arguments, found {found}")
    values = [
        _constant(line, f"the argument {name}", sort, argument)
        for (name, sort), argument in zip(function.parameters, application.arguments, strict=True)
    ]
    value = _constant(line, f"the value of {function.name}", function.sort, output)
    return Example(values[0] if len(values) == 1 else values, value)


def _constant(line: int, what: str, sort: str, term: Term) -> Value:
    """The value of a term without variables, of the sort that is wanted."""
    if names := symbols(term):
        raise SexprError(line, f"not example-based: {what} depends on {min(names)}; expected a constant")
    try:
        found = sort_of(term, {})
        value = evaluate(term, {})
    except ValueError as error:
        raise SexprError(line, f"{what} is not a constant: {error}") from None
    _expect_sort(line, what, sort, found)
    return value


def _expect_sort(line: int, what: str, wanted: str, found: str) -> None:
    if found != wanted:
        raise SexprError(line, f"expected {what} to be of sort {wanted}, found {found}")


def _expect_terms(line: int, grammar: Grammar) -> None:
    """Refuse a grammar without a single term. Other non-terminals may have none: they are never of use."""
    start = grammar.nonterminals[0].name
    terminating = _terminating(grammar)
    if start not in terminating:
        others = [name for name in grammar.by_name if name not in terminating and name != start]
        names = shorten(name if index == 0 else f", {name}" for index, name in enumerate(others))
        raise SexprError(
            line,
            f"no term can be derived from {shorten([start])}{f', nor from {names}' if others else ''}: every "
            "production leads to such a non-terminal again; expected one that ends, such as a constant or a "
            "parameter",
        )


def _terminating(grammar: Grammar) -> set[str]:
    """The non-terminals from which a term can be derived."""
    needs: list[tuple[str, set[str]]] = []
    users: defaultdict[str, list[int]] = defaultdict(list)
    found: list[str] = []
    for nonterminal in grammar.nonterminals:
        for production in nonterminal.productions:
            needed = {name for name in symbols(production) if name in grammar.by_name}
            for name in needed:
                users[name].append(len(needs))
            needs.append((nonterminal.name, needed))
            if not needed:
                found.append(nonterminal.name)
    known = set(found)
    while found:
        name = found.pop()
        for index in users[name]:
            user, missing = needs[index]
            missing.discard(name)
            if not missing and user not in known:
                known.add(user)
                found.append(user)
    return known


def _signature(function: _SynthFun) -> Signature:
    parameters = tuple(Parameter(name, _python_type(sort)) for name, sort in function.parameters)
    call: CallStyle = "single" if len(parameters) == 1 else "positional"
    return Signature(parameters, _python_type(function.sort), function.name, call)


def _python_type(sort: str) -> str:
    return {"String": "str", "Bool": "bool"}.get(sort, "int")


def _check_widths(task: Task, function: _SynthFun) -> None:
    """Refuse bit-vectors whose width the task would lose, for its signature says no more than ``int``."""
    recovered = parameter_sorts(task)
    for name, sort in function.parameters:
        if recovered[name] != sort:
            raise SexprError(
                function.line, f"{name} is a bit-vector; expected a grammar with {name} as a production"
            )
    if result_sort(task) != function.sort:
        raise SexprError(function.line, f"{function.name} gives a bit-vector; expected a grammar")
