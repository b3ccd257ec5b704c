"""Prints a task as SyGuS-IF 2.1, for other solvers.

Source: The SyGuS Language Standard, version 2.1, section 2.
"""

from __future__ import annotations

from hypotheses.sygus.grammar import Grammar, Literal, to_sexpr
from hypotheses.sygus.sorts import parameter_sorts, result_sort
from hypotheses.task import Example, Task


def to_sygus(task: Task) -> str:
    """Print a task of family ``sygus`` so that the reader gives it back.

    A bit-vector parameter that the grammar does not mention is printed as ``Int``, for its width is unknown.
    """
    parameters = parameter_sorts(task)
    declared = " ".join(f"({name} {sort})" for name, sort in parameters.items())
    head = f"(synth-fun {task.signature.name} ({declared}) {result_sort(task)}"
    lines = [f"(set-logic {_logic(task)})", head, *(_grammar_lines(task.grammar) if task.grammar else [])]
    lines[-1] += ")"
    lines += [_constraint(task, example) for example in task.examples]
    return "\n".join([*lines, "(check-synth)", ""])


def _logic(task: Task) -> str:
    """The smallest of the usual logics that has all sorts of the task."""
    sorts = {*parameter_sorts(task).values(), result_sort(task)}
    if task.grammar:
        sorts |= {nonterminal.sort for nonterminal in task.grammar.nonterminals}
    bit_vectors = any(sort.startswith("(_ BitVec") for sort in sorts)
    if bit_vectors:
        return "ALL" if sorts & {"String", "Int"} else "BV"
    return "SLIA" if "String" in sorts else "LIA"


def _grammar_lines(grammar: Grammar) -> list[str]:
    declared = " ".join(f"({n.name} {n.sort})" for n in grammar.nonterminals)
    groups = [
        f"   ({n.name} {n.sort} ({' '.join(map(to_sexpr, n.productions))}))" for n in grammar.nonterminals
    ]
    return [f"  ({declared})", "  (", *groups, "  )"]


def _constraint(task: Task, example: Example) -> str:
    sorts = parameter_sorts(task).values()
    values = [example.input] if task.signature.call == "single" else example.input
    arguments = [to_sexpr(Literal(value, sort)) for value, sort in zip(values, sorts, strict=True)]
    output = to_sexpr(Literal(example.output, result_sort(task)))
    return f"(constraint (= ({' '.join([task.signature.name, *arguments])}) {output}))"
