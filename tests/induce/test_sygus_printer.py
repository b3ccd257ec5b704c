"""A task printed as SyGuS-IF 2.1 is read back as the same task, and other solvers accept it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.sygus.grammar import AnyConstant, Apply, Grammar, Literal, Nonterminal, Symbol, Term
from hypotheses.task import Example, Parameter, Signature, Task
from induce.tasks.sygus import parse_sygus
from induce.tasks.sygus_printer import to_sygus

BYTE = "(_ BitVec 8)"
TRIT = "(_ BitVec 3)"
PYTHON = {"String": "str", "Int": "int", "Bool": "bool", BYTE: "int", TRIT: "int"}
VALUES = {
    "String": st.text(st.characters(max_codepoint=0x2FFFF, exclude_categories=["Cs"]), max_size=6),
    "Int": st.integers(),
    "Bool": st.booleans(),
    BYTE: st.integers(0, 255),
    TRIT: st.integers(0, 7),
}
S, N, B, V, W = (Symbol(f"nt{name}") for name in "SNBVW")
NONTERMINALS = {"String": S, "Int": N, "Bool": B, BYTE: V, TRIT: W}
APPLICATIONS: dict[str, list[Term]] = {
    "String": [Apply("str.++", (S, S)), Apply("str.from_int", (N,)), Apply("str.at", (S, Apply("-", (N,))))],
    "Int": [Apply("str.to_int", (S,)), Apply("+", (N, Literal(-5, "Int"))), Apply("ite", (B, N, N))],
    "Bool": [Apply("not", (B,)), Apply("=", (S, S)), Apply("bvult", (V, V))],
    BYTE: [Apply("(_ sign_extend 5)", (W,)), Apply("bvadd", (V, Literal(10, BYTE)))],
    TRIT: [Apply("(_ extract 2 0)", (V,)), Apply("bvnot", (W,))],
}


@st.composite
def tasks(draw: Callable[..., object]) -> Task:
    sorts = draw(st.lists(st.sampled_from(sorted(PYTHON)), min_size=1, max_size=3))
    result = draw(st.sampled_from(sorted(PYTHON)))
    assert isinstance(sorts, list)
    assert isinstance(result, str)
    names = [f"x{i}" for i in range(len(sorts))]
    needs_grammar = any(sort.startswith("(") for sort in [*sorts, result])
    grammar = (
        draw(grammars(dict(zip(names, sorts, strict=True)), result))
        if needs_grammar or draw(st.booleans())
        else None
    )
    assert grammar is None or isinstance(grammar, Grammar)
    inputs = VALUES[sorts[0]] if len(sorts) == 1 else st.tuples(*(VALUES[sort] for sort in sorts)).map(list)
    examples = draw(st.lists(st.builds(Example, inputs, VALUES[result]), min_size=1, max_size=3))
    assert isinstance(examples, list)
    parameters = tuple(Parameter(name, PYTHON[sort]) for name, sort in zip(names, sorts, strict=True))
    signature = Signature(parameters, PYTHON[result], "f", "single" if len(sorts) == 1 else "positional")
    return Task("t", tuple(examples), (), signature, "sygus", grammar=grammar)


def grammars(parameters: dict[str, str], result: str) -> st.SearchStrategy[Grammar]:
    order = [result, *(sort for sort in PYTHON if sort != result)]
    productions = []
    for sort in order:
        fixed = [Symbol(name) for name, found in parameters.items() if found == sort] or [AnyConstant(sort)]
        more = st.lists(
            VALUES[sort].map(lambda value, sort=sort: Literal(value, sort))
            | st.sampled_from(APPLICATIONS[sort])
        )
        productions.append(more.map(lambda terms, fixed=fixed: (*fixed, *terms)))
    return st.tuples(*productions).map(
        lambda groups: Grammar(
            tuple(
                Nonterminal(NONTERMINALS[sort].name, sort, group)
                for sort, group in zip(order, groups, strict=True)
            )
        )
    )


@given(tasks())
def test_a_printed_task_is_read_back(task: Task) -> None:
    assert parse_sygus(to_sygus(task), "t") == task


@settings(max_examples=30, deadline=None)
@given(tasks())
def test_cvc5_accepts_what_is_printed(task: Task) -> None:
    cvc5 = pytest.importorskip("cvc5", reason="cvc5 is not installed (dependency group bench)")
    manager = cvc5.TermManager()
    solver = cvc5.Solver(manager)
    solver.setOption("sygus", "true")
    symbols = cvc5.SymbolManager(manager)
    parser = cvc5.InputParser(solver, symbols)
    parser.setStringInput(cvc5.InputLanguage.SYGUS_2_1, to_sygus(task), "task")
    names = []
    while (command := parser.nextCommand()).getCommandName() != "check-synth":
        names.append(command.getCommandName())
        command.invoke(solver, symbols)
    assert names == ["set-logic", "synth-fun", *["constraint"] * len(task.examples)]


def test_the_printed_form() -> None:
    grammar = Grammar(
        (
            Nonterminal(
                "S",
                "String",
                (Symbol("x"), Literal('"\\\n', "String"), Apply("str.from_int", (Symbol("I"),))),
            ),
            Nonterminal("I", "Int", (Literal(-1, "Int"), Apply("str.to_int", (Symbol("S"),)))),
        )
    )
    signature = Signature((Parameter("x", "str"),), "str", "f", "single")
    task = Task("t", (Example("a", "b"),), (), signature, "sygus", grammar=grammar)
    assert (
        to_sygus(task)
        == r'''(set-logic SLIA)
(synth-fun f ((x String)) String
  ((S String) (I Int))
  (
   (S String (x """\u{5c}\u{a}" (str.from_int I)))
   (I Int ((- 1) (str.to_int S)))
  ))
(constraint (= (f "a") "b"))
(check-synth)
'''
    )


@pytest.mark.parametrize(
    ("sorts", "logic"),
    [(["Int"], "LIA"), (["Int", "String"], "SLIA"), ([BYTE], "BV"), ([BYTE, "Int"], "ALL")],
)
def test_the_logic_has_all_sorts(sorts: list[str], logic: str) -> None:
    first, *others = sorts
    start = Nonterminal("Start", first, (Symbol("x"),))
    more = [Nonterminal(NONTERMINALS[sort].name, sort, (AnyConstant(sort),)) for sort in others]
    signature = Signature((Parameter("x", "int"),), "int", "f", "single")
    grammar = Grammar((start, *more))
    task = Task("t", (Example(1, 2),), (), signature, "sygus", grammar=grammar)
    assert to_sygus(task).startswith(f"(set-logic {logic})\n")
